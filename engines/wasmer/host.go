//go:build cgo && linux && amd64

package wasmer

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime/cgo"
	"time"
	"unsafe"

	"wasmwhisk/engine"
)

// wmHost runs a host function for the guest of that handle. A panic must not go
// through the frames of C.
//
//export wmHost
func wmHost(handle C.uintptr_t, number C.uint32_t, args *C.wasm_val_t, nargs C.size_t, results *C.wasm_val_t, nresults C.size_t) (goesOn C.bool) {
	i := cgo.Handle(handle).Value().(*instance)
	defer func() {
		if p := recover(); p != nil {
			i.stopped, goesOn = fmt.Errorf("host function panicked: %v", p), false
		}
	}()
	var room [16]uint64
	stack := append(room[:0], make([]uint64, max(nargs, nresults))...)
	for n, v := range unsafe.Slice(args, nargs) {
		stack[n] = bits(v)
	}
	h := &i.module.runtime.hosts[number]
	if err := h.call(i, stack); err != nil {
		i.stopped = err
		return false
	}
	for n := range unsafe.Slice(results, nresults) {
		kind, _ := kindOf(h.kind.Results[n])
		setBits(&unsafe.Slice(results, nresults)[n], kind, stack[n])
	}
	return true
}

// tick is called by the guard: with a negative number when calls nest too deeply,
// otherwise whenever the fuel has run out.
func tick(i *instance, stack []uint64) error {
	if int32(stack[0]) < 0 {
		return &engine.TrapError{Kind: engine.TrapStackOverflow}
	}
	if !i.deadline.IsZero() && time.Now().After(i.deadline) {
		<-i.ctx.Done() // its timer may be late
	}
	if i.ctx.Err() != nil {
		return context.Cause(i.ctx)
	}
	stack[0] = fullFuel
	return nil
}
