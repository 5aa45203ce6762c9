//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime/cgo"
	"unsafe"

	"wasmwhisk/engine"
)

// kindOf is how the C API encodes the type of a number.
func kindOf(t engine.ValueType) (C.uint8_t, bool) {
	switch t {
	case engine.I32:
		return 0, true
	case engine.I64:
		return 1, true
	case engine.F32:
		return 2, true
	case engine.F64:
		return 3, true
	}
	return 0, false
}

// defineHostFuncs makes the host functions importable, each under its index in
// the configuration.
func (r *Runtime) defineHostFuncs() error {
	seen := map[[2]string]bool{}
	for n, fn := range r.config.HostFuncs {
		name := [2]string{fn.Module, fn.Name}
		if seen[name] {
			return fmt.Errorf("host function %s.%s is given twice", fn.Module, fn.Name)
		}
		seen[name] = true
		if err := r.defineHostFunc(n, fn); err != nil {
			return fmt.Errorf("host function %s.%s: %w", fn.Module, fn.Name, err)
		}
	}
	return nil
}

func (r *Runtime) defineHostFunc(index int, fn engine.HostFunc) error {
	params, results := fn.Type.Params, fn.Type.Results
	if !numeric(params) || !numeric(results) || max(len(params), len(results)) > C.WW_HOST_VALUES {
		return fmt.Errorf("at most %d numbers can be passed", int(C.WW_HOST_VALUES))
	}
	kinds := make([]C.uint8_t, 0, len(params)+len(results)+1)
	for _, types := range [][]engine.ValueType{params, results} {
		for _, t := range types {
			kind, _ := kindOf(t)
			kinds = append(kinds, kind)
		}
	}
	module, moduleSize := chars(fn.Module)
	name, nameSize := chars(fn.Name)
	return errorOf("define", C.ww_define(r.linker, module, moduleSize, name, nameSize,
		unsafe.SliceData(kinds), C.size_t(len(params)), C.size_t(len(results)), C.uintptr_t(index)))
}

// chars lets C read a string for the time of a call.
func chars(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// wasmwhiskHostCall is called by a guest that calls the host. It tells whether
// the guest has to stop.
//
//export wasmwhiskHostCall
func wasmwhiskHostCall(handle, index C.uintptr_t, values *C.wasmtime_val_raw_t) (stop C.int) {
	i := cgo.Handle(handle).Value().(*instance)
	defer i.recovered(&stop)
	fn := &i.module.runtime.config.HostFuncs[index]
	n := max(len(fn.Type.Params), len(fn.Type.Results))
	raw := unsafe.Slice((*rawValue)(unsafe.Pointer(values)), n)
	stack := i.stack[:n]
	for k := range stack {
		stack[k] = raw[k].low
	}
	if err := fn.Call(i.ctx, i.Memory(), stack); err != nil {
		i.stopped = err
		return 1
	}
	for k := range stack {
		raw[k].low = stack[k]
	}
	return 0
}

// rawValue is a wasmtime_val_raw_t whose lower half holds all numbers.
type rawValue struct{ low, high uint64 }

// recovered ends a guest whose host function panicked: no panic may pass the
// frames of C and of the guest.
func (i *instance) recovered(stop *C.int) {
	if p := recover(); p != nil {
		i.stopped = fmt.Errorf("host function panicked: %v", p)
		*stop = 1
	}
}

// wasmwhiskTick is called by a running guest whenever the ticker has counted. It
// tells whether the guest has to stop.
//
//export wasmwhiskTick
func wasmwhiskTick(handle C.uintptr_t) C.int {
	i := cgo.Handle(handle).Value().(*instance)
	if i.ctx.Err() == nil {
		return 0
	}
	i.stopped = context.Cause(i.ctx)
	return 1
}
