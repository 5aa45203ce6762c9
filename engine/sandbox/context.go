package sandbox

import (
	"context"
	"sync"
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

	mu     sync.Mutex
	waited context.Context //nolint:containedctx // does the waiting, nil until there is some
	cancel context.CancelFunc
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited != nil {
		c.cancel()
		return false
	}
	c.parent = nil
	return true
}

func (c *deadlineContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *deadlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil && c.deadline.IsZero() {
		c.waited, c.cancel = context.WithCancel(c.parent)
	} else if c.waited == nil {
		c.waited, c.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	return c.waited.Done()
}

func (c *deadlineContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited != nil {
		return c.waited.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

func (c *deadlineContext) Value(key any) any {
	c.mu.Lock()
	from := c.waited
	c.mu.Unlock()
	if from == nil {
		from = c.parent
	}
	return from.Value(key)
}
