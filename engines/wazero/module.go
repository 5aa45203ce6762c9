package wazero

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

// codeFactor estimates a module's memory from the size of its binary: machine
// code of 3.8 times its size, by measurement, and the decoded sections.
const codeFactor = 5

type module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	imports  []engine.Import
	exports  []engine.Export
	size     int64

	exportsMemory bool
}

func newModule(rt wazero.Runtime, compiled wazero.CompiledModule, binarySize int) *module {
	return &module{
		runtime:  rt,
		compiled: compiled,
		imports:  importsOf(compiled),
		exports:  exportsOf(compiled),
		size:     codeFactor*int64(binarySize) + engine.PageSize,

		exportsMemory: len(compiled.ExportedMemories()) > 0,
	}
}

func importsOf(compiled wazero.CompiledModule) []engine.Import {
	var imports []engine.Import
	for _, def := range compiled.ImportedFunctions() {
		mod, name, _ := def.Import()
		imports = append(imports, engine.Import{Module: mod, Name: name, Type: *funcType(def)})
	}
	return imports
}

func exportsOf(compiled wazero.CompiledModule) []engine.Export {
	var exports []engine.Export
	for name, def := range compiled.ExportedFunctions() {
		exports = append(exports, engine.Export{Name: name, Type: funcType(def)})
	}
	for name := range compiled.ExportedMemories() {
		exports = append(exports, engine.Export{Name: name})
	}
	slices.SortFunc(exports, func(a, b engine.Export) int { return cmp.Compare(a.Name, b.Name) })
	return exports
}

func funcType(def api.FunctionDefinition) *engine.FuncType {
	return &engine.FuncType{Params: engineTypes(def.ParamTypes()), Results: engineTypes(def.ResultTypes())}
}

func engineTypes(types []api.ValueType) []engine.ValueType {
	out := make([]engine.ValueType, len(types))
	for i, t := range types {
		out[i] = engine.ValueType(t)
	}
	return out
}

func (m *module) Imports() []engine.Import { return m.imports }
func (m *module) Exports() []engine.Export { return m.exports }
func (m *module) Size() int64              { return m.size }

func (m *module) Close(ctx context.Context) error { return m.compiled.Close(ctx) }

func (m *module) Instantiate(ctx context.Context, limits engine.Limits) (_ engine.Instance, err error) {
	memory := newMemoryBudget(limits)
	defer recovered("instantiate", &err)
	defer memory.recoverRefusal(&err)

	c := &call{module: m}
	ctx = withCall(experimental.WithMemoryAllocator(ctx, memory), c)
	mod, err := m.runtime.InstantiateModule(ctx, m.compiled, instanceConfig())
	if err == nil {
		return &instance{module: m, mod: mod}, nil
	}
	err = classify(ctx, c, err)
	if isLinkError(err) {
		return nil, &engine.InvalidModuleError{Err: fmt.Errorf("instantiate: %w", err)}
	}
	return nil, err
}

// instanceConfig keeps instances anonymous (a module could name itself in its
// name section and squat on that name), and calls no export by itself.
func instanceConfig() wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(noRandom{})
}

// noRandom keeps wazero from seeding a generator for every instance: its own
// WASI, which would use it, is not here.
type noRandom struct{}

func (noRandom) Read([]byte) (int, error) { return 0, errors.New("no random source") }

type instance struct {
	module *module
	mod    api.Module
}

func (i *instance) Call(ctx context.Context, export string, args ...uint64) ([]uint64, error) {
	fn := i.mod.ExportedFunction(export)
	if fn == nil {
		return nil, fmt.Errorf("%w: %q", engine.ErrNoExport, export)
	}
	c := &call{module: i.module, instance: i.mod}
	results, err := fn.Call(withCall(ctx, c), args...)
	if err != nil {
		return nil, classify(ctx, c, err)
	}
	return results, nil
}

func (i *instance) Memory() engine.Memory {
	c := call{module: i.module}
	return c.memory(i.mod)
}

func (i *instance) Close(ctx context.Context) error { return i.mod.Close(ctx) }
