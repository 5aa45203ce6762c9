package abi

import (
	"fmt"
	"slices"
	"strings"

	"wasmwhisk/engine"
)

// guest is a contract with the functions that a module must export for it.
type guest struct {
	contract Contract
	exports  []export
	memory   bool
	hintOnly bool // cannot be told apart from another contract by its exports

	// notWith are exports that show, where there is no hint, that a module with
	// the others was built for another contract. Go exports the functions of its
	// SDK from a command too, where they do not work before _start.
	notWith []export
}

type export struct {
	name string
	typ  engine.FuncType
}

// guests lists the contracts, the more particular ones first: what has _start
// may be more than a command.
func guests() []guest {
	i32, i64 := []engine.ValueType{engine.I32}, []engine.ValueType{engine.I64}
	start := export{"_start", engine.FuncType{}}
	get := engine.FuncType{Results: i32}
	return []guest{
		{contract: reactor{}, memory: true, notWith: []export{start}, exports: []export{
			{"ow_alloc", engine.FuncType{Params: i32, Results: i32}},
			{"ow_run", engine.FuncType{Params: []engine.ValueType{engine.I32, engine.I32}, Results: i64}},
		}},
		{contract: wow{}, memory: true, exports: []export{
			{wowAllocate, engine.FuncType{Params: i32}}, {wowPointer, get}, {wowLength, get}, start,
		}},
		{contract: setInput{}, memory: true, exports: []export{
			{"set_input", engine.FuncType{Params: i32, Results: i32}}, {"get_result", get}, {"get_result_len", get}, start,
		}},
		{contract: actionLoop{}, exports: []export{start}, hintOnly: true},
		{contract: command{}, exports: []export{start}},
	}
}

// Detect finds the contract of a module with these exports. A hint names the
// contract; without one the exports decide. The error says what is missing.
func Detect(exports []engine.Export, hint Name) (Contract, error) {
	if hint != "" {
		return named(exports, hint)
	}
	for _, g := range guests() {
		if g.detects(exports) {
			return g.contract, nil
		}
	}
	return nil, &engine.InvalidModuleError{Err: noContract(exports)}
}

// Behind gives the contract that a guest keeps from where it reads its input on,
// beside its own: the reactor's, for a command that has the exports of an SDK, too.
// It is nil if there is none.
func Behind(c Contract, exports []engine.Export) Contract {
	i := slices.IndexFunc(guests(), func(g guest) bool { return g.contract.Name() == Reactor })
	if c.Name() != Command || len(guests()[i].missing(exports)) > 0 {
		return nil
	}
	return guests()[i].contract
}

func (g guest) detects(exports []engine.Export) bool {
	other := slices.ContainsFunc(g.notWith, func(e export) bool { return has(exports, e) })
	return !g.hintOnly && !other && len(g.missing(exports)) == 0
}

func named(exports []engine.Export, hint Name) (Contract, error) {
	var known []string
	for _, g := range guests() {
		name := g.contract.Name()
		if name != hint {
			known = append(known, string(name))
			continue
		}
		if missing := g.missing(exports); len(missing) > 0 {
			return nil, &engine.InvalidModuleError{
				Err: fmt.Errorf("the %s contract needs the exports %s", name, strings.Join(missing, ", ")),
			}
		}
		return g.contract, nil
	}
	return nil, &engine.InvalidModuleError{
		Err: fmt.Errorf("abi %q is not one of %s", hint, strings.Join(known, ", ")),
	}
}

// noContract names the contract that the module seems to have been meant for.
func noContract(exports []engine.Export) error {
	for _, g := range guests() {
		if missing := g.missing(exports); len(missing) < len(g.exports) && len(g.exports) > 1 && has(exports, g.exports[0]) {
			return fmt.Errorf("the %s contract needs the exports %s", g.contract.Name(), strings.Join(missing, ", "))
		}
	}
	return fmt.Errorf("the module exports no entry point: neither _start (a WASI command) nor ow_alloc and ow_run (a reactor)")
}

func (g guest) missing(exports []engine.Export) []string {
	var missing []string
	for _, want := range g.exports {
		if !has(exports, want) {
			missing = append(missing, want.String())
		}
	}
	if g.memory && !slices.ContainsFunc(exports, func(e engine.Export) bool { return e.Type == nil && e.Name == "memory" }) {
		missing = append(missing, "memory")
	}
	return missing
}

func has(exports []engine.Export, want export) bool {
	return slices.ContainsFunc(exports, func(e engine.Export) bool {
		return e.Name == want.name && e.Type != nil &&
			slices.Equal(e.Type.Params, want.typ.Params) && slices.Equal(e.Type.Results, want.typ.Results)
	})
}

func (e export) String() string {
	return fmt.Sprintf("%s(%s)%s", e.name, list(e.typ.Params), results(e.typ.Results))
}

func results(types []engine.ValueType) string {
	if len(types) == 0 {
		return ""
	}
	return "->" + list(types)
}

func list(types []engine.ValueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = "i32"
		if t == engine.I64 {
			names[i] = "i64"
		}
	}
	return strings.Join(names, ", ")
}
