package wazero

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// fullFuel is how much a guest may do before it is looked at: some tens of
// microseconds.
const fullFuel = 50_000

// sliceTime is how long a turn of a guest lasts.
const sliceTime = time.Millisecond

// firstTime is how long a guest may run before it has to wait for a turn: most
// are through by then.
const firstTime = 200 * time.Microsecond

// callContext is the context of the calls into one instance, one after the
// other. Host functions and the guard find the call through it; it is part of
// the instance so that a call allocates none.
type callContext struct {
	context.Context
	call call
}

// call is the state of one call.
type call struct {
	instance *instance
	stopped  error     // why a host function or the guard ended it
	deadline time.Time // zero for none
	until    time.Time // when others get a turn
	hasTurn  bool
}

type callKey struct{}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return &c.call
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

func (c *callContext) begin(ctx context.Context) {
	c.Context, c.call = ctx, call{instance: c.call.instance}
	c.call.deadline, _ = ctx.Deadline()
}

// end lets go of the caller's context, which may hold a lot.
func (c *callContext) end() {
	c.call.giveTurn()
	c.Context = nil
}

// stop ends the running guest. Unlike any other panic an exit is passed on by
// wazero without rendering the guest's stack.
func (c *call) stop(err error) {
	c.stopped = err
	panic(sys.NewExitError(sys.ExitCodeContextCanceled))
}

// tick is called by the guard in a guest: with a negative number when its calls
// nest too deeply, otherwise whenever its fuel has run out. It is what stops a guest, and what lets the scheduler and the collector in, since
// Go cannot interrupt machine code that is not its own.
func tick(ctx context.Context, _ api.Module, stack []uint64) {
	c := callOf(ctx)
	if h := c.instance.held; h != nil && int32(stack[0]) == rewrite.Returned {
		h.returned(stack)
		return
	}
	if int32(stack[0]) < 0 {
		c.stop(&engine.TrapError{Kind: engine.TrapStackOverflow})
	}
	now := c.look(ctx)
	if c.until.IsZero() {
		c.until = now.Add(firstTime)
	}
	if now.After(c.until) {
		c.yield(ctx)
	}
	stack[0] = c.instance.module.runtime.fuel
}

// look stops a guest whose time is up, and tells the time.
func (c *call) look(ctx context.Context) time.Time {
	now := time.Now()
	if !c.deadline.IsZero() && now.After(c.deadline) {
		<-ctx.Done() // its timer may wait for a thread to run on: it has one now
	}
	if ctx.Err() != nil {
		c.stop(context.Cause(ctx))
	}
	return now
}

// yield lets others run, and waits for a turn: by now the guest is one that runs
// for long.
func (c *call) yield(ctx context.Context) {
	c.giveTurn()
	if err := c.instance.module.runtime.turns.wait(ctx); err != nil {
		c.stop(err)
	}
	c.hasTurn, c.until = true, time.Now().Add(sliceTime)
}

// giveTurn is for guests that may wait for something else, too.
func (c *call) giveTurn() {
	if c.hasTurn {
		c.hasTurn = false
		c.instance.module.runtime.turns.give()
	}
}

// guard is what guarded guests import beside their own imports.
func (r *Runtime) guard() wazero.HostModuleBuilder {
	i32 := []api.ValueType{api.ValueTypeI32}
	return r.runtime.NewHostModuleBuilder(rewrite.ReservedModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), i32, i32).Export(rewrite.TickName).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(lower), i32, nil).Export(rewrite.LowerName)
}
