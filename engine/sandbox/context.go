package sandbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadlineContext ends with its parent or at a deadline, like one of
// [context.WithDeadline], but has neither a timer nor a place among its parent's
// children until somebody wants to wait for it. Most guests never do: the engine
// looks at the clock itself while they run.
//
// It is used for one activation after the other, unless somebody waited: who
// holds a channel of it may hold the context, too, for longer than the
// activation lasts.
type deadlineContext struct {
	parent   context.Context //nolint:containedctx // this is a context itself
	deadline time.Time       // zero for none but the parent's

	mu     sync.Mutex             // held to begin to wait
	waited atomic.Pointer[waiter] // nil until somebody does
}

// waiter does the waiting.
type waiter struct {
	context.Context //nolint:containedctx // this is a context itself
	cancel          context.CancelFunc
}

// begin makes the context one of a new activation.
func (c *deadlineContext) begin(parent context.Context, deadline time.Time) {
	c.parent, c.deadline = parent, deadline
	if earlier, ok := parent.Deadline(); ok && (deadline.IsZero() || earlier.Before(deadline)) {
		c.deadline = earlier
	}
}

// end tells whether the context may be used for another activation.
func (c *deadlineContext) end() (reusable bool) {
	if w := c.waited.Load(); w != nil {
		w.cancel()
		return false
	}
	c.parent = nil
	return true
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *deadlineContext) Done() <-chan struct{} {
	if w := c.waited.Load(); w != nil {
		return w.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited.Load() == nil {
		c.waited.Store(c.wait())
	}
	return c.waited.Load().Done()
}

func (c *deadlineContext) wait() *waiter {
	if c.deadline.IsZero() {
		ctx, cancel := context.WithCancel(c.parent)
		return &waiter{ctx, cancel}
	}
	ctx, cancel := context.WithDeadline(c.parent, c.deadline)
	return &waiter{ctx, cancel}
}

func (c *deadlineContext) Err() error {
	if w := c.waited.Load(); w != nil {
		return w.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !c.deadline.IsZero() && time.Until(c.deadline) <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func (c *deadlineContext) Value(key any) any {
	if w := c.waited.Load(); w != nil {
		return w.Value(key)
	}
	return c.parent.Value(key)
}
