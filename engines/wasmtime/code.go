//go:build cgo && linux && amd64

package wasmtime

import (
	"slices"

	"github.com/bytecodealliance/wasmtime-go/v44"

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
func (r *Runtime) prepare(binary []byte) (code, error) {
	faces, err := rewrite.InterfaceOf(binary)
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	result, err := rewrite.Rewrite(binary, rewrite.Options{
		TableElements: r.config.TableElements,
		MemoryPages:   engine.MaxPages, // so that each memory has a maximum, see shim.c
		Capture:       true,
	})
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	if !result.Sound {
		if err := wasmtime.ModuleValidate(r.engine, binary); err != nil {
			return code{}, &engine.InvalidModuleError{Err: err}
		}
	}
	c := code{Result: result, Interface: faces, fixed: result.Unresettable, size: codeFactor*int64(len(result.Binary)) + engine.PageSize}
	if c.fixed == "" {
		// Data that the engine writes at every instantiation would overwrite a
		// snapshot's.
		c.fixed = result.Uncaptured
	}
	return c, nil
}

// numeric tells whether values of the types are what they seem: raw bits of a
// reference would be taken for an address.
func numeric(types []engine.ValueType) bool {
	return !slices.ContainsFunc(types, func(t engine.ValueType) bool {
		_, ok := kindOf(t)
		return !ok
	})
}
