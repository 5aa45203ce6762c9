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
	return errorOf("define", C.ww_define(r.linkers[onThread], r.linkers[onFiber], module, moduleSize, name, nameSize,
		unsafe.SliceData(kinds), C.size_t(len(params)), C.size_t(len(results)), C.uintptr_t(index)))
}

// chars lets C read a string for the time of a call.
func chars(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// wasmwhiskHostCall is called by a guest on a thread that calls the host. It tells
// whether the guest has to stop.
//
//export wasmwhiskHostCall
func wasmwhiskHostCall(handle, index C.uintptr_t, values *C.wasmtime_val_raw_t) (stop C.int) {
	i := cgo.Handle(handle).Value().(*instance)
	i.hostCall(int(index), (*rawValue)(unsafe.Pointer(values)))
	if i.stopped != nil {
		return 1
	}
	return 0
}

// hostCall runs a host function, whose parameters begin at values, where its results
// go. If the guest has to stop, that is in i.stopped.
func (i *instance) hostCall(index int, values *rawValue) {
	defer i.recovered()
	fn := &i.module.runtime.config.HostFuncs[index]
	n := max(len(fn.Type.Params), len(fn.Type.Results))
	raw := unsafe.Slice(values, n)
	stack := i.stack[:n]
	for k := range stack {
		stack[k] = raw[k].low
	}
	if i.stopped = fn.Call(i.ctx, i.Memory(), stack); i.stopped != nil {
		return
	}
	for k := range stack {
		raw[k].low = stack[k]
	}
}

// rawValue is a wasmtime_val_raw_t whose lower half holds all numbers.
type rawValue struct{ low, high uint64 }

// recovered ends a guest whose host function panicked: no panic may pass the
// frames of C and of the guest.
func (i *instance) recovered() {
	if p := recover(); p != nil {
		i.stopped = fmt.Errorf("host function panicked: %v", p)
	}
}

// wasmwhiskTick is called by a guest that runs on a thread whenever the ticker has counted. It
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
