package wazero

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

type instance struct {
	module  *module
	mod     api.Module
	from    state
	memory  linearMemory // without a slot if the module has none
	globals []api.MutableGlobal
	fuel    api.MutableGlobal
	depth   api.MutableGlobal
	funcs   map[string]api.Function
	lowered lowered
	ctx     callContext
	held    *held // nil unless it is held within a call

	captured *snapshot // that it is as it was captured in, nil once it was called
}

// takeMemory gets the instance a memory in its first state.
func (i *instance) takeMemory(limits engine.Limits) (err error) {
	if i.from.memories == nil {
		return nil
	}
	limit := min(maxPages(limits), i.module.code.MemoryMax)
	if i.from.pages > limit {
		return &engine.LimitError{What: "memory", Unit: "pages", Limit: uint64(limit), Wanted: uint64(i.from.pages)}
	}
	i.memory.start = int(i.from.pages) * engine.PageSize
	i.memory.limit = int(limit) * engine.PageSize
	// A mapping cannot be empty, a memory can.
	i.memory.slot, err = i.from.memories.get(max(i.memory.limit, engine.PageSize))
	return err
}

func (i *instance) putMemory() {
	if i.memory.slot != nil {
		i.from.memories.put(i.memory.slot)
		i.memory.slot = nil
	}
}

// instantiation is the context that an instance is made with.
func (i *instance) instantiation() context.Context {
	if i.memory.slot == nil {
		return &i.ctx
	}
	return experimental.WithMemoryAllocator(&i.ctx, &i.memory)
}

// findGlobals looks up the globals that are part of the instance's state, and
// gives them the values of the state that it starts in.
func (i *instance) findGlobals() {
	code := i.module.code
	i.fuel, i.depth = i.global(code.Guard.FuelExport), i.global(code.Guard.DepthExport)
	for n, g := range code.Globals {
		g := i.global(g.Export)
		i.globals = append(i.globals, g)
		if i.from.globals != nil {
			g.Set(i.from.globals[n])
		}
	}
	if i.from.globals == nil {
		i.from.globals = i.readGlobals()
	}
}

func (i *instance) global(export string) api.MutableGlobal {
	return i.mod.ExportedGlobal(export).(api.MutableGlobal)
}

func (i *instance) readGlobals() []uint64 {
	values := make([]uint64, len(i.globals))
	for n, g := range i.globals {
		values[n] = g.Get()
	}
	return values
}

func (i *instance) Call(ctx context.Context, export string, args ...uint64) ([]uint64, error) {
	i.captured = nil
	if i.held != nil {
		return nil, i.held.goOn(ctx, export)
	}
	fn := i.function(export)
	if fn == nil {
		return nil, fmt.Errorf("%w: %q", engine.ErrNoExport, export)
	}
	i.begin(ctx)
	defer i.ctx.end()
	results, err := fn.Call(&i.ctx, args...)
	if err != nil {
		return nil, i.ctx.classify(err)
	}
	return results, nil
}

// begin is what comes before the guest runs for a caller with ctx.
func (i *instance) begin(ctx context.Context) {
	i.ctx.begin(ctx)
	i.fuel.Set(i.module.runtime.fuel)
	i.depth.Set(uint64(i.module.code.Guard.StackBytes))
}

// function looks an export up once: wazero makes a stack for each look-up.
func (i *instance) function(export string) api.Function {
	if fn, ok := i.funcs[export]; ok {
		return fn
	}
	fn := i.mod.ExportedFunction(export)
	if fn == nil {
		return nil
	}
	if i.funcs == nil {
		i.funcs = map[string]api.Function{}
	}
	i.funcs[export] = fn
	return fn
}

func (i *instance) Memory() engine.Memory {
	if !i.module.exportsMemory {
		return nil
	}
	return i.memory.bytes()
}

// written is the memory up to where there are only zeros.
func (i *instance) written() []byte {
	return i.memory.bytes()[:i.from.memories.end(i.memory.slot, i.memory.size)]
}

var errGrown = errors.New("the memory has grown as far as it can")

// shrink takes back what the memory has grown by. wazero knows only growing, but
// takes for the memory whatever it is given then: it has the memory grow by a
// page, for which there must be room, and gets what it started with.
func (i *instance) shrink() error {
	if i.memory.size == i.memory.start {
		return nil
	}
	i.memory.shrinking = true
	_, ok := i.mod.Memory().Grow(1)
	i.memory.shrinking = false
	if !ok {
		return errGrown
	}
	return nil
}

func (i *instance) Reset() error {
	if i.module.code.fixed != "" {
		return errors.New(i.module.code.fixed)
	}
	if i.held != nil {
		if err := i.held.reset(); err != nil {
			return err
		}
	}
	if i.memory.slot != nil {
		if err := i.shrink(); err != nil {
			return err
		}
		if err := i.from.memories.reset(i.memory.slot); err != nil {
			return err
		}
		i.memory.slot.used = i.memory.start
	}
	for n, g := range i.globals {
		g.Set(i.from.globals[n])
	}
	if i.module.runtime.config.CheckResets && !slices.Equal(i.readGlobals(), i.from.globals) {
		panic(fmt.Sprintf("wazero: globals that were put back are %x, want %x", i.readGlobals(), i.from.globals))
	}
	return nil
}

// Close puts the memory back only when wazero is through with it.
func (i *instance) Close(ctx context.Context) error {
	if i.held != nil {
		i.held.end()
	}
	err := errors.Join(i.mod.Close(ctx), i.lowered.close(ctx))
	i.putMemory()
	return err
}
