package wazero

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/engines/internal/kept"
)

var (
	_ engine.Snapshotter = (*module)(nil)
	_ engine.Resetter    = (*instance)(nil)
)

// module is compiled code with what its instances start from.
type module struct {
	runtime  *Runtime
	compiled wazero.CompiledModule
	code     code
	imports  []engine.Import
	exports  []engine.Export
	size     int64

	exportsMemory bool
	parts         *parts    // nil where compiled is all of it
	valid         *validity // nil where it was seen before

	// initial is what the module's own data and globals make of an instance.
	initial state
}

// state is where an instance starts.
type state struct {
	memories *memories // nil without a memory
	pages    uint32
	globals  []uint64 // of code.Globals; nil leaves the module's own
}

// newModule keeps of the code what instances need: neither the binary nor, once
// it is where instances find it, the image.
func newModule(r *Runtime, compiled wazero.CompiledModule, c code) *module {
	m := &module{
		runtime:  r,
		compiled: compiled,
		code:     c,
		size:     r.codeBytes(c) + engine.PageSize,

		parts: c.parts,
	}
	if c.seen != nil {
		m.imports, m.exports = c.seen.Imports, c.seen.Exports
	} else {
		m.imports, m.exports = importsOf(compiled), exportsOf(compiled)
	}
	m.exportsMemory = slices.ContainsFunc(m.exports, func(e engine.Export) bool { return e.Type == nil })
	result := *c.Result
	result.Binary, result.Image = nil, nil
	m.code.Result, m.code.parts, m.code.seen = &result, nil, nil
	if !c.HasMemory {
		return m
	}
	for _, s := range c.Image {
		m.size += int64(len(s.Data))
	}
	m.initial = state{pages: c.MemoryMin, memories: newMemories(r.budget, func() (*contents, error) {
		return r.newContents(c.image())
	})}
	return m
}

// startWith has memories start with contents, unless they are nil, rather than the
// module's image.
func (m *module) startWith(c *contents) {
	if c == nil {
		return
	}
	m.size += c.size()
	m.initial.memories = newMemories(m.runtime.budget, nil)
	m.initial.memories.contents = c
}

func importsOf(compiled wazero.CompiledModule) []engine.Import {
	var imports []engine.Import
	for _, def := range compiled.ImportedFunctions() {
		if mod, name, _ := def.Import(); mod != rewrite.ReservedModule {
			imports = append(imports, engine.Import{Module: mod, Name: name, Type: *funcType(def)})
		}
	}
	return imports
}

func exportsOf(compiled wazero.CompiledModule) []engine.Export {
	var exports []engine.Export
	for name, def := range compiled.ExportedFunctions() {
		if !rewrite.Reserved(name) {
			exports = append(exports, engine.Export{Name: name, Type: funcType(def)})
		}
	}
	for name := range compiled.ExportedMemories() {
		if !rewrite.Reserved(name) {
			exports = append(exports, engine.Export{Name: name})
		}
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

func (m *module) Close(ctx context.Context) error {
	if m.initial.memories != nil {
		m.initial.memories.close()
	}
	m.valid.close()
	return errors.Join(m.compiled.Close(ctx), m.parts.release(ctx))
}

func (m *module) Instantiate(ctx context.Context, limits engine.Limits) (engine.Instance, error) {
	i, err := m.instantiate(ctx, m.initial, limits)
	if err != nil {
		return nil, err
	}
	if m.code.Start == "" {
		return i, nil
	}
	if _, err := i.Call(ctx, m.code.Start); err != nil {
		_ = i.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return i, nil
}

func (m *module) instantiate(ctx context.Context, from state, limits engine.Limits) (_ *instance, err error) {
	defer recovered("instantiate", &err)
	if err := m.valid.known(); err != nil {
		return nil, err
	}
	i := &instance{module: m, from: from}
	i.ctx.call.instance = i
	if err := i.takeMemory(limits); err != nil {
		return nil, err
	}
	i.ctx.begin(ctx)
	defer i.ctx.end()
	i.lowered = newLowered(m.parts)
	i.mod, err = m.runtime.runtime.InstantiateModule(i.instantiation(), m.compiled, instanceConfig())
	if err != nil {
		err = i.ctx.classify(err)
		_ = i.lowered.close(context.WithoutCancel(ctx))
		i.putMemory()
		if isLinkError(err) {
			err = &engine.InvalidModuleError{Err: fmt.Errorf("instantiate: %w", err)}
		}
		return nil, err
	}
	i.findGlobals()
	return i, nil
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

// snapshot is a state that was captured.
type snapshot struct {
	module *module
	state  state
	size   int64
	share  kept.Share
}

func (s *snapshot) Size() int64 { return s.size }

func (s *snapshot) Close() error {
	s.module.runtime.states.Release(&s.share)
	if s.state.memories != nil {
		s.state.memories.close()
	}
	return nil
}

// Capture waits for the rest of a module that is being validated: nothing of an
// invalid one stays.
func (m *module) Capture(inst engine.Instance) (engine.Snapshot, error) {
	if err := m.valid.wait(); err != nil {
		return nil, err
	}
	i, ok := inst.(*instance)
	if !ok || i.module != m {
		return nil, fmt.Errorf("%w: the instance is of another module", engine.ErrNotCapturable)
	}
	if m.code.fixed != "" {
		return nil, fmt.Errorf("%w: %s", engine.ErrNotCapturable, m.code.fixed)
	}
	s := &snapshot{module: m, state: state{globals: i.readGlobals()}}
	i.captured = s
	if m.initial.memories == nil {
		return s, nil
	}
	taken, err := m.runtime.newContents(i.written())
	if err != nil {
		return nil, err
	}
	if err := s.holds(taken, uint32(i.memory.size/engine.PageSize)); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrNotCapturable, err)
	}
	return s, nil
}

// holds has memories of so many pages start with contents, if there is room for those.
func (s *snapshot) holds(taken *contents, pages uint32) error {
	r := s.module.runtime
	s.size = taken.size()
	if err := r.states.Charge(&s.share, int(s.size)); err != nil {
		taken.close()
		return err
	}
	s.state.pages, s.state.memories = pages, newMemories(r.budget, nil)
	s.state.memories.contents = taken
	return nil
}

var errNotAdopted = errors.New("the instance stays with what it started from")

func (s *snapshot) Adopt(inst engine.Instance) error {
	i, ok := inst.(*instance)
	if !ok || i.module != s.module {
		return errNotAdopted
	}
	if m := s.state.memories; m != nil { // which stays while it is looked at
		if err := m.hold(); err != nil {
			return err
		}
		defer m.leave()
	}
	if !s.state.covers(i.from) || i.captured != s && !s.state.shownBy(i) {
		return errNotAdopted
	}
	if i.memory.slot != nil {
		if err := s.state.memories.adopt(i.memory.slot); err != nil {
			return err
		}
		i.from.memories.leave()
	}
	i.from, i.memory.start = s.state, i.memory.size
	return nil
}

// covers tells whether nothing of what a memory shows that started as from is
// seen once it shows this state: of a longer mapping the end would stay.
func (s state) covers(from state) bool {
	return !from.memories.mapped() || s.memories.mapped() && s.memories.contents.size() >= from.memories.contents.size()
}

// shownBy tells whether an instance is in this state.
func (s state) shownBy(i *instance) bool {
	if !slices.Equal(i.readGlobals(), s.globals) || i.memory.size != int(s.pages)*engine.PageSize {
		return false
	}
	return s.memories == nil || s.memories.contents.shownBy(i.written())
}

// continues tells whether instances can go on where those of another module
// were. Compiled or interpreted, the rewritten binary is what counts; of modules
// of two binaries hardly any two are alike in all of this.
func (m *module) continues(other *module) bool {
	return m == other || m.code.fixed == other.code.fixed && reflect.DeepEqual(m.code.Result, other.code.Result)
}

func (m *module) Restore(ctx context.Context, from engine.Snapshot, limits engine.Limits) (engine.Instance, error) {
	s, ok := from.(*snapshot)
	if !ok || !m.continues(s.module) {
		return nil, errors.New("restore: the snapshot is of another module")
	}
	return m.instantiate(ctx, s.state, limits)
}
