//go:build cgo && linux && amd64

package wasmtime

import (
	"cmp"
	"slices"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// code is a binary as it is compiled, and what the rewriter has to say of it.
type code struct {
	*rewrite.Result
	rewrite.Interface

	// fixed says why instances cannot be captured and put back, "" if they can.
	fixed string

	// size is that of the code, an estimate.
	size int64
}

// codeFactor estimates a module's memory from the size of its binary: machine
// code of 3.3 times its size, by measurement, and what goes with it.
const codeFactor = 4

// prepare rewrites a binary: with bounded tables, and such that its memory is
// filled by us and its instances can start from a snapshot. It needs no guard:
// the engine interrupts guests and bounds their stacks by itself.
func prepare(binary []byte, config engine.Config) (code, error) {
	faces, err := rewrite.InterfaceOf(binary)
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	r, err := rewrite.Rewrite(binary, rewrite.Options{
		TableElements: config.TableElements,
		MemoryPages:   engine.MaxPages, // so that each memory has a maximum, see shim.c
		Capture:       true,
	})
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	c := code{Result: r, Interface: faces, fixed: r.Unresettable, size: codeFactor*int64(len(r.Binary)) + engine.PageSize}
	if c.fixed == "" {
		// Data that the engine writes at every instantiation would overwrite a
		// snapshot's.
		c.fixed = r.Uncaptured
	}
	return c, nil
}

func (c code) imports() []engine.Import {
	var imports []engine.Import
	for _, i := range c.Imports {
		if i.Kind == rewrite.KindFunc {
			imports = append(imports, engine.Import{Module: i.Module, Name: i.Name, Type: *funcType(i.Type)})
		}
	}
	return imports
}

func (c code) exports() []engine.Export {
	var exports []engine.Export
	for _, x := range c.Exports {
		switch x.Kind {
		case rewrite.KindFunc:
			exports = append(exports, engine.Export{Name: x.Name, Type: funcType(x.Type)})
		case rewrite.KindMemory:
			exports = append(exports, engine.Export{Name: x.Name})
		}
	}
	slices.SortFunc(exports, func(a, b engine.Export) int { return cmp.Compare(a.Name, b.Name) })
	return exports
}

func funcType(t rewrite.FuncType) *engine.FuncType {
	return &engine.FuncType{Params: valueTypes(t.Params), Results: valueTypes(t.Results)}
}

func valueTypes(types []byte) []engine.ValueType {
	out := make([]engine.ValueType, len(types))
	for i, t := range types {
		out[i] = engine.ValueType(t)
	}
	return out
}

// numeric tells whether values of the types are what they seem: raw bits of a
// reference would be taken for an address.
func numeric(types []engine.ValueType) bool {
	return !slices.ContainsFunc(types, func(t engine.ValueType) bool {
		_, ok := kindOf(t)
		return !ok
	})
}
