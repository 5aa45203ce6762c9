// Package face says in the contract's types what the rewriter knows of a module's
// imports and exports, for drivers whose engine is not asked.
package face

import (
	"cmp"
	"slices"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// Imports are the functions that a module imports, in its order.
func Imports(of rewrite.Interface) []engine.Import {
	var imports []engine.Import
	for _, i := range of.Imports {
		if i.Kind == rewrite.KindFunc {
			imports = append(imports, engine.Import{Module: i.Module, Name: i.Name, Type: *FuncType(i.Type)})
		}
	}
	return imports
}

// Exports are the functions and memories that a module exports, by name.
func Exports(of rewrite.Interface) []engine.Export {
	var exports []engine.Export
	for _, x := range of.Exports {
		switch x.Kind {
		case rewrite.KindFunc:
			exports = append(exports, engine.Export{Name: x.Name, Type: FuncType(x.Type)})
		case rewrite.KindMemory:
			exports = append(exports, engine.Export{Name: x.Name})
		}
	}
	slices.SortFunc(exports, func(a, b engine.Export) int { return cmp.Compare(a.Name, b.Name) })
	return exports
}

// FuncType is a signature.
func FuncType(t rewrite.FuncType) *engine.FuncType {
	return &engine.FuncType{Params: valueTypes(t.Params), Results: valueTypes(t.Results)}
}

func valueTypes(types []byte) []engine.ValueType {
	out := make([]engine.ValueType, len(types))
	for i, t := range types {
		out[i] = engine.ValueType(t)
	}
	return out
}
