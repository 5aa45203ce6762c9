//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"slices"
	"unsafe"

	"wasmwhisk/engine"
)

type instance struct {
	module *module
	from   state
	way    way                 // that it runs in
	c      *C.ww_instance      // nil without a store
	slot   *slot               // nil if the module has no memory
	limit  uint32              // of the memory, in pages
	handle cgo.Handle          // 0 once it is closed
	funcs  []C.wasmtime_func_t // by index, those that were looked up

	// Of the call that runs.
	ctx     context.Context //nolint:containedctx // callbacks have no other way to it
	stopped error           // why a host function or the ticker ended it
	placed  bool            // it has a place
	stack   [C.WW_HOST_VALUES]uint64
}

// maxTables bounds the tables of one instance. Toolchains make one or two.
const maxTables = 1000

func (m *module) instantiate(ctx context.Context, from state, limits engine.Limits) (_ *instance, err error) {
	if err := m.enter(); err != nil {
		return nil, err
	}
	i := &instance{module: m, from: from}
	i.handle = cgo.NewHandle(i)
	if err := i.takeMemory(limits); err != nil {
		_ = i.Close(ctx)
		return nil, err
	}
	if err := i.start(ctx); err != nil {
		_ = i.Close(ctx)
		return nil, err
	}
	return i, nil
}

// takeMemory gets the instance a memory in its first state.
func (i *instance) takeMemory(limits engine.Limits) (err error) {
	if i.from.memories == nil {
		return nil
	}
	i.limit = min(maxPages(limits), i.module.code.MemoryMax)
	if i.from.pages > i.limit {
		return &engine.LimitError{What: "memory", Unit: "pages", Limit: uint64(i.limit), Wanted: uint64(i.from.pages)}
	}
	i.slot, err = i.from.memories.get(int(i.from.pages) * engine.PageSize)
	return err
}

// start makes the instance in a store of its own. A start function is not run,
// unless the rewriter could not take it out.
func (i *instance) start(ctx context.Context) error {
	r := i.module.runtime
	i.way = r.way()
	pre, err := i.module.linked(i.way)
	if err != nil {
		return err
	}
	i.c = C.ww_new(C.uintptr_t(i.handle), C.size_t(i.module.values), i.way == onFiber)
	if i.slot != nil {
		i.c.memory = (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(i.slot.all)))
		i.c.size = C.size_t(i.slot.start)
		i.c.limit = C.size_t(i.limit) * engine.PageSize
		i.c.wants_memory = true
	}
	if err := i.begin(ctx); err != nil {
		return err
	}
	C.ww_instantiate(enginePointer(r.engine), pre, i.c, C.int64_t(r.config.TableElements), maxTables)
	if i.way == onFiber {
		i.drive()
	}
	i.end()
	err = i.ending()
	if _, ours := errors.AsType[*engineError](err); ours {
		return &engine.InvalidModuleError{Err: fmt.Errorf("instantiate: %w", err)}
	}
	if err != nil {
		return err
	}
	return i.startGlobals()
}

// stop drops the store and all in it, and tells how large the memory had become.
func (i *instance) stop() (size int) {
	if i.c == nil {
		return i.slot.size()
	}
	size = int(i.c.size)
	C.ww_delete(i.c)
	i.c, i.funcs = nil, nil
	return size
}

// maxPages is the most pages that an instance may have.
func maxPages(limits engine.Limits) uint32 {
	if limits.MemoryPages == 0 || limits.MemoryPages > engine.MaxPages {
		return engine.MaxPages
	}
	return limits.MemoryPages
}

// begin and end stand around whatever may run the guest.
func (i *instance) begin(ctx context.Context) error {
	r := i.module.runtime
	if err := r.places[i.way].enter(ctx); err != nil {
		return err
	}
	r.ticker.begin()
	i.ctx, i.stopped, i.placed = ctx, nil, true
	return nil
}

// end lets go of the caller's context, which may hold a lot.
func (i *instance) end() {
	r := i.module.runtime
	i.ctx = nil
	r.ticker.end()
	if i.placed {
		r.places[i.way].leave()
	}
}

func (i *instance) Call(ctx context.Context, export string, args ...uint64) ([]uint64, error) {
	f := i.module.funcs[export]
	switch {
	case f == nil || f == i.module.start:
		return nil, fmt.Errorf("%w: %q", engine.ErrNoExport, export)
	case len(args) != f.params:
		return nil, fmt.Errorf("call %q: %d arguments for %d parameters", export, len(args), f.params)
	case !f.numeric:
		return nil, &engine.InvalidModuleError{Err: fmt.Errorf("function %q does not take and give numbers only", export)}
	}
	return i.call(ctx, f, args)
}

func (i *instance) call(ctx context.Context, f *function, args []uint64) ([]uint64, error) {
	if err := i.find(f); err != nil {
		return nil, err
	}
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	values := unsafe.Slice((*rawValue)(unsafe.Add(unsafe.Pointer(i.c), unsafe.Sizeof(*i.c))), i.module.values)
	for k, v := range args {
		values[k].low = v
	}
	if i.way == onFiber {
		C.ww_call_fiber(i.c, i.funcs[f.index], unsafe.SliceData(f.kinds), C.size_t(f.params), C.size_t(f.results))
		i.drive()
	} else {
		C.ww_call(i.c, i.funcs[f.index], C.size_t(max(f.params, f.results)))
	}
	i.end()
	if err := i.ending(); err != nil {
		return nil, err
	}
	results := make([]uint64, f.results)
	for k := range results {
		results[k] = values[k].low
	}
	return results, nil
}

// find looks a function up once. Those of a store have its id, which is never 0.
func (i *instance) find(f *function) error {
	if i.funcs == nil {
		i.funcs = make([]C.wasmtime_func_t, len(i.module.funcs))
	}
	if i.funcs[f.index].store_id != 0 {
		return nil
	}
	name, size := chars(f.name)
	if !bool(C.ww_find(i.c, name, size, &i.funcs[f.index])) {
		return fmt.Errorf("%w: %q", engine.ErrNoExport, f.name)
	}
	return nil
}

func (i *instance) Memory() engine.Memory {
	if i.module.memory == nil {
		return nil
	}
	return i.bytes()
}

// bytes is the whole memory as it is now, nil if there is none.
func (i *instance) bytes() []byte {
	if i.slot == nil {
		return nil
	}
	size := int(i.c.size)
	return i.slot.all[:size:size]
}

var errGrown = errors.New("the memory has grown as far as it can")

// Reset gives an instance whose last call did not return a store of its own
// again: what a guest leaves in the engine when it is stopped stays behind. So it does
// with one that runs in another way than new ones do.
func (i *instance) Reset() error {
	if i.module.code.fixed != "" {
		return errors.New(i.module.code.fixed)
	}
	if i.ending() != nil || i.way != i.module.runtime.way() {
		return i.renew()
	}
	if i.slot != nil {
		if err := i.resetMemory(); err != nil {
			return err
		}
	}
	i.writeGlobals(i.from.globals)
	if i.module.runtime.config.CheckResets && !slices.Equal(i.readGlobals(), i.from.globals) {
		panic(fmt.Sprintf("wasmtime: globals that were put back are %x, want %x", i.readGlobals(), i.from.globals))
	}
	return nil
}

func (i *instance) renew() error {
	size := i.stop()
	if i.slot != nil {
		if err := i.from.memories.reset(i.slot, size); err != nil {
			return err
		}
		if err := shrink(i.slot, size); err != nil {
			return err
		}
	}
	return i.start(context.Background())
}

func (i *instance) resetMemory() error {
	size := int(i.c.size)
	if err := i.from.memories.reset(i.slot, size); err != nil {
		return err
	}
	if size == i.slot.start {
		return nil
	}
	if i.module.memory == nil {
		return errGrown
	}
	name, nameSize := chars(*i.module.memory)
	if !bool(C.ww_shrink(i.c, name, nameSize, C.size_t(i.slot.start))) {
		return errGrown
	}
	return shrink(i.slot, size)
}

// Close puts the memory back only when the engine is through with it.
func (i *instance) Close(context.Context) error {
	if i.handle == 0 {
		return nil
	}
	size := i.stop()
	i.handle.Delete()
	i.handle = 0
	if i.slot != nil {
		i.from.memories.put(i.slot, size)
	}
	i.module.leave()
	return nil
}
