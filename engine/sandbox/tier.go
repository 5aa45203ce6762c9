package sandbox

import (
	"context"
	"errors"
	"slices"
	"sync"

	"wasmwhisk/engine"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// tier is a module that the sandboxes of a program run on. A program has one, or
// a provisional one first and the final one after it.
type tier struct {
	module      engine.Module
	provisional bool

	mu      sync.Mutex
	makers  int // of instances, at this moment
	retired bool
}

// guest is an instance, and what it is one of.
type guest struct {
	engine.Instance
	tier  *tier
	from  engine.Snapshot // that it began with; nil for none
	rough bool            // it has warmed up, and could rehearse
}

// enter tells whether instances may be made of the tier's module, until leave.
func (t *tier) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.retired {
		t.makers++
	}
	return !t.retired
}

func (t *tier) leave() {
	t.mu.Lock()
	t.makers--
	last := t.retired && t.makers == 0
	t.mu.Unlock()
	if last {
		_ = t.module.Close(context.Background())
	}
}

// retire closes the module as soon as nobody makes instances of it. Those that
// there are stay usable.
func (t *tier) retire(ctx context.Context) error {
	t.mu.Lock()
	unused := !t.retired && t.makers == 0
	t.retired = true
	t.mu.Unlock()
	if !unused {
		return nil
	}
	return t.module.Close(ctx)
}

// errAgain ends a guest on a provisional module that has to begin again on the
// final one. No one but this package sees it.
var errAgain = errors.New("the guest begins again on the final module")

// provisional is the context of a guest on a provisional module. It ends when
// that is withdrawn, as long as nobody can tell that the guest has run: it
// begins again on the final module then, where it gets further in the time that
// is left.
type provisional struct {
	context.Context //nolint:containedctx // this is a context itself
	program         *Program
	tier            *tier
	wasi            *wasi.System
	host            *host.System
}

// onTier gives the context of a guest that is about to be made.
func (p *Program) onTier(ctx context.Context, w *wasi.System, h *host.System) context.Context {
	if t := p.tier.Load(); t != nil && t.provisional {
		return &provisional{Context: ctx, program: p, tier: t, wasi: w, host: h}
	}
	return ctx
}

// Err is asked by the guard, on the guest's own goroutine. What the system has
// noted must not be looked at from another; of a guest that has reached out,
// which has such, it is not.
func (c *provisional) Err() error {
	if c.program.tier.Load() != c.tier && c.unnoticed() {
		return errAgain
	}
	return c.Context.Err()
}

// unnoticed tells whether nothing outside of its sandbox shows that a guest ran.
func (c *provisional) unnoticed() bool {
	return !c.host.Reached() && !slices.ContainsFunc(c.wasi.Called(), noticeable)
}

// noticeable are the functions that touch what outlives a sandbox, and those
// that take time.
func noticeable(function string) bool {
	switch function {
	case "fd_write", "fd_read", "fd_close", "proc_exit": // of streams: there are no files without path_open
		return false
	case "poll_oneoff":
		return true
	}
	return !slices.Contains(lasting(), function) && !slices.Contains(renewable(), function)
}

// verdict is how a guest on such a context ended: with err, or not yet. Calls
// nest less deeply where a guest is interpreted, so it is not the last word that
// they nest too deeply there.
func verdict(ctx context.Context, err error) error {
	c, ok := ctx.(*provisional)
	if !ok || !isStackOverflow(err) || !c.unnoticed() {
		return err
	}
	c.program.withdraw(ctx, c.tier)
	return errAgain
}

func isStackOverflow(err error) bool {
	trap, ok := errors.AsType[*engine.TrapError](err)
	return ok && trap.Kind == engine.TrapStackOverflow
}
