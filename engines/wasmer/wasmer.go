//go:build cgo && linux && amd64

package wasmer

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -Wl,--unresolved-symbols=ignore-all
#include "shim.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	_ "github.com/wasmerio/wasmer-go/wasmer" // links the library

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/engines/internal/kept"
)

var (
	_ engine.Precompiler = (*Runtime)(nil)
	_ engine.Snapshotter = (*module)(nil)
)

// Runtime implements [engine.Precompiler].
type Runtime struct {
	config engine.Config
	pages  uint32       // the bound of memory that artefacts are made for
	hosts  []host       // by the number that the shim knows them by
	idle   *kept.Budget // of the memories of instances that were reset
	states *kept.Budget // of snapshots
}

// host is a function that guests may import.
type host struct {
	module, name string
	kind         engine.FuncType
	call         func(i *instance, stack []uint64) error
}

// New returns an engine that compiles modules. Its artefacts serve instances with
// that bound of memory, 0 for none; for any other they are compiled anew.
func New(_ context.Context, config engine.Config, memoryPages uint32) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.WithDefaults()
	i32 := []engine.ValueType{engine.I32}
	r := &Runtime{config: config, pages: bound(memoryPages), idle: kept.New(config.IdleBytes), states: kept.New(config.SnapshotBytes), hosts: []host{{
		module: rewrite.ReservedModule,
		name:   rewrite.TickName,
		kind:   engine.FuncType{Params: i32, Results: i32},
		call:   tick,
	}}}
	for _, fn := range config.HostFuncs {
		if _, err := r.host(fn.Module, fn.Name); err == nil {
			return nil, fmt.Errorf("host function %s.%s is given twice", fn.Module, fn.Name)
		}
		r.hosts = append(r.hosts, host{fn.Module, fn.Name, fn.Type, func(i *instance, stack []uint64) error {
			return fn.Call(i.ctx, i.Memory(), stack)
		}})
	}
	return r, nil
}

// bound is the most pages that a memory may have where 0 means any number.
func bound(pages uint32) uint32 {
	if pages == 0 || pages > engine.MaxPages {
		return engine.MaxPages
	}
	return pages
}

var errNoHost = errors.New("the host offers no such function")

// host finds a function by its name.
func (r *Runtime) host(module, name string) (int, error) {
	for n, h := range r.hosts {
		if h.module == module && h.name == name {
			return n, nil
		}
	}
	return 0, errNoHost
}

func (r *Runtime) Info() engine.Info {
	return engine.Info{Name: "wasmer", Version: C.GoString(C.wasmer_version()), Mode: "compiler"}
}

// Compile validates the binary. What takes long is left to the first instance.
func (r *Runtime) Compile(_ context.Context, binary []byte) (engine.Module, error) {
	c, err := r.prepare(binary, engine.MaxPages)
	if err != nil {
		return nil, err
	}
	if err := validate(c.Binary); err != nil {
		return nil, err
	}
	if !c.Sound {
		if err := validate(binary); err != nil {
			return nil, err
		}
	}
	return newModule(r, binary, c)
}

func validate(binary []byte) error {
	text := C.wm_validate((*C.char)(unsafe.Pointer(unsafe.SliceData(binary))), C.size_t(len(binary)))
	if err := errorOf(text); err != nil {
		return &engine.InvalidModuleError{Err: err}
	}
	return nil
}

// Close may be called twice.
func (r *Runtime) Close(context.Context) error { return nil }

// goText takes a text that C allocated.
func goText(text *C.char) string {
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text)
}

// errorOf is the error that a function of the shim gave, nil for none.
func errorOf(text *C.char) error {
	if text == nil {
		return nil
	}
	return errors.New(goText(text))
}
