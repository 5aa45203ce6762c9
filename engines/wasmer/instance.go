//go:build cgo && linux && amd64

package wasmer

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"strings"
	"time"
	"unsafe"

	"wasmwhisk/engine"
	"wasmwhisk/engines/internal/kept"
)

// fullFuel is how much a guest may do before it is looked at, some hundred
// microseconds.
const fullFuel = 100_000

type instance struct {
	module *module
	code   *compiled
	c      *C.wm_instance // nil once it is closed
	handle cgo.Handle

	from     state
	restored bool // from a snapshot, not begun
	share    kept.Share

	// Of the call that runs.
	ctx      context.Context //nolint:containedctx // callbacks have no other way to it
	deadline time.Time
	stopped  error // why a host function or the guard ended it
}

func (m *module) instantiate(ctx context.Context, limits engine.Limits) (*instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c, err := m.enter(limits)
	if err != nil {
		return nil, err
	}
	i := &instance{module: m, code: c, c: C.wm_new(C.size_t(c.values))}
	i.handle = cgo.NewHandle(i)
	i.enter(ctx)
	defer i.leave()
	var trapped C.bool
	err = i.ending(C.wm_instantiate(&c.c, C.uintptr_t(i.handle), i.c, &trapped), bool(trapped))
	if err != nil {
		_ = i.Close(ctx)
		return nil, err
	}
	return i, nil
}

// enter and leave stand around whatever may run the guest.
func (i *instance) enter(ctx context.Context) {
	i.ctx, i.stopped = ctx, nil
	i.deadline, _ = ctx.Deadline()
}

func (i *instance) leave() { i.ctx = nil }

// ending says in the contract's words why the guest has stopped.
func (i *instance) ending(text *C.char, trapped bool) error {
	err := errorOf(text)
	switch {
	case i.stopped != nil:
		return i.stopped
	case err == nil:
		return nil
	case trapped:
		return engine.NewTrapError(trapKind(err.Error()), err.Error())
	}
	return &engine.InvalidModuleError{Err: fmt.Errorf("instantiate: %w", err)}
}

// trapKind knows the messages of wasmer 2.0.
func trapKind(message string) engine.TrapKind {
	for _, known := range []struct {
		words string
		kind  engine.TrapKind
	}{
		{"unreachable", engine.TrapUnreachable},
		{"heap", engine.TrapMemoryOutOfBounds},
		{"out of bounds memory", engine.TrapMemoryOutOfBounds},
		{"out of bounds table", engine.TrapTableAccess},
		{"undefined element", engine.TrapTableAccess},
		{"uninitialized element", engine.TrapTableAccess},
		{"indirect call type mismatch", engine.TrapIndirectCallType},
		{"divide by zero", engine.TrapDivideByZero},
		{"integer overflow", engine.TrapIntegerOverflow},
		{"invalid conversion", engine.TrapBadConversion},
		{"call stack exhausted", engine.TrapStackOverflow},
	} {
		if strings.Contains(message, known.words) {
			return known.kind
		}
	}
	return engine.TrapOther
}

func (i *instance) Call(ctx context.Context, export string, args ...uint64) ([]uint64, error) {
	t := i.code.funcs[export]
	if t == nil {
		return nil, fmt.Errorf("%w: %q", engine.ErrNoExport, export)
	}
	if len(args) != len(t.Params) {
		return nil, fmt.Errorf("call %q: %d arguments for %d parameters", export, len(args), len(t.Params))
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return i.call(ctx, export, t, args)
}

func (i *instance) call(ctx context.Context, export string, t *engine.FuncType, args []uint64) ([]uint64, error) {
	values := unsafe.Slice(i.c.args, len(args))
	for n, v := range args {
		kind, number := kindOf(t.Params[n])
		if !number {
			return nil, notNumbers(export)
		}
		setBits(&values[n], kind, v)
	}
	for _, result := range t.Results {
		if _, number := kindOf(result); !number {
			return nil, notNumbers(export)
		}
	}
	i.enter(ctx)
	defer i.leave()
	i.set(i.code.Guard.FuelExport, C.wasm_valkind_t(0), fullFuel)
	i.set(i.code.Guard.DepthExport, C.wasm_valkind_t(0), uint64(uint32(i.code.Guard.StackBytes)))
	text := C.wm_call(i.c, i.code.at[export], C.uintptr_t(i.handle), C.size_t(len(args)), C.size_t(len(t.Results)))
	if err := i.ending(text, true); err != nil {
		return nil, err
	}
	results := make([]uint64, len(t.Results))
	for n, v := range unsafe.Slice(i.c.results, len(results)) {
		results[n] = bits(v)
	}
	return results, nil
}

// notNumbers refuses what would take raw bits for an address.
func notNumbers(export string) error {
	return &engine.InvalidModuleError{Err: fmt.Errorf("function %q does not take and give numbers only", export)}
}

// bits and setBits see all of a value as one number, of which 32-bit types have
// the low half.
func bits(v C.wasm_val_t) uint64 {
	raw := *(*uint64)(unsafe.Pointer(&v.of))
	if v.kind == 0 || v.kind == 2 {
		raw &= 1<<32 - 1
	}
	return raw
}

func setBits(v *C.wasm_val_t, kind C.wasm_valkind_t, raw uint64) {
	v.kind = kind
	*(*uint64)(unsafe.Pointer(&v.of)) = raw
}

func (i *instance) set(global string, kind C.wasm_valkind_t, raw uint64) {
	C.wm_global_set(i.c, i.code.at[global], kind, C.uint64_t(raw))
}

func (i *instance) readGlobals() []uint64 {
	values := make([]uint64, len(i.code.Globals))
	for n, g := range i.code.Globals {
		values[n] = uint64(C.wm_global_get(i.c, i.code.at[g.Export]))
	}
	return values
}

func (i *instance) Memory() engine.Memory {
	if !i.code.hasMemory {
		return nil
	}
	return i.bytes()
}

// bytes is nil while there is no instance yet.
func (i *instance) bytes() []byte {
	if !i.code.hasMemory || i.c == nil || i.c.instance == nil {
		return nil
	}
	var size C.size_t
	data := C.wm_memory(i.c, i.code.memory, &size)
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))
}

// begin brings a new instance to where its module starts. After an error it is
// closed.
func (i *instance) begin(ctx context.Context) error {
	i.from = state{memory: i.code.start.memory, pages: i.code.start.pages, globals: i.readGlobals()}
	err := i.fill()
	if err == nil && i.code.Start != "" {
		_, err = i.call(ctx, i.code.Start, &engine.FuncType{}, nil)
	}
	if err != nil {
		_ = i.Close(ctx)
	}
	return err
}

// fill gives a memory that is all zeros its first content.
func (i *instance) fill() error {
	memory := i.bytes()
	if len(i.from.memory) > len(memory) {
		return errors.New("the memory's content does not fit into it")
	}
	copy(memory, i.from.memory)
	return nil
}

// restore brings a new instance into a state that was captured.
func (i *instance) restore(from state) error {
	i.from, i.restored = from, true
	have := uint32(len(i.bytes()) / engine.PageSize)
	if from.pages > have && !bool(C.wm_memory_grow(i.c, i.code.memory, C.uint32_t(from.pages-have))) {
		return &engine.LimitError{What: "memory", Unit: "pages", Limit: uint64(i.code.MemoryMax), Wanted: uint64(from.pages)}
	}
	i.writeGlobals()
	return i.fill()
}

var (
	errGrown   = errors.New("the memory has grown")
	errStarted = errors.New("the start function would have to run again")
)

// Reset copies the whole memory.
func (i *instance) Reset() error {
	memory := i.bytes()
	switch err := i.code.fixed(); {
	case err != nil:
		return err
	case i.code.Start != "" && !i.restored:
		return errStarted
	case len(memory) != int(i.from.pages)*engine.PageSize:
		return errGrown
	}
	if err := i.module.runtime.idle.Charge(&i.share, len(memory)); err != nil {
		return err
	}
	clear(memory[copy(memory, i.from.memory):])
	i.writeGlobals()
	return nil
}

func (i *instance) writeGlobals() {
	for n, g := range i.code.Globals {
		kind, _ := kindOf(engine.ValueType(g.Type))
		i.set(g.Export, kind, i.from.globals[n])
	}
}

// Close may be called twice.
func (i *instance) Close(context.Context) error {
	if i.c == nil {
		return nil
	}
	C.wm_instance_free(i.c)
	i.c = nil
	i.handle.Delete()
	i.module.runtime.idle.Release(&i.share)
	i.module.leave()
	return nil
}
