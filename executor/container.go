package executor

import (
	"context"
	"errors"
	"sync"
	"time"

	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
)

// errDestroyed ends what is in progress for a container that is removed.
var errDestroyed = errors.New("the container was destroyed")

// held is the code that a container runs.
type held struct {
	*action.Action

	users int // guarded by its container's lock
}

// container holds the code of one action, and its logs.
//
// The registry's lock comes before the container's.
type container struct {
	id   string
	logs *containerLogs
	kept *ring // the logs in memory, nil if they are not kept

	// gone is closed when the container is removed. Initializations end with it;
	// activations run to their own end.
	gone chan struct{}

	// dispose frees what the container holds besides its action, once it is
	// removed and nobody uses it any more.
	dispose func()

	// initializing is held by the one initialization at a time, slots by each
	// activation if their number is bounded.
	initializing chan struct{}
	slots        chan struct{}

	// These are the registry's, guarded by its lock.
	users    int
	lastUsed time.Time
	removed  bool

	mu         sync.Mutex
	action     *held                   // nil until initialized
	cancelInit context.CancelCauseFunc // nil while none is in progress
}

func newContainer(id string, logs *containerLogs, concurrency int) *container {
	c := &container{
		id:           id,
		logs:         logs,
		gone:         make(chan struct{}),
		dispose:      func() {},
		initializing: make(chan struct{}, 1),
		lastUsed:     time.Now(),
	}
	if concurrency > 0 {
		c.slots = make(chan struct{}, concurrency)
	}
	return c
}

// initialized tells whether the container has code.
func (c *container) initialized() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.action != nil
}

// beginInit waits for its turn to initialize the container. The context it
// gives ends with the container, too.
func (c *container) beginInit(ctx context.Context) (context.Context, func(), error) {
	if err := take(ctx, c.initializing); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c.setCancelInit(cancel)
	select {
	case <-c.gone:
		cancel(errDestroyed)
	default:
	}
	return ctx, func() {
		c.setCancelInit(nil)
		cancel(nil)
		<-c.initializing
	}, nil
}

func (c *container) setCancelInit(cancel context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelInit = cancel
}

// remove tells the container that it is removed. It is called once.
func (c *container) remove() {
	close(c.gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelInit != nil {
		c.cancelInit(errDestroyed)
	}
}

// use gives the container's action, to be given back to done: until then it
// stays usable, whatever happens to the container.
func (c *container) use() (*held, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.action == nil {
		return nil, &whisk.Error{Kind: whisk.NotReady, Message: whisk.TextNoAction}
	}
	c.action.users++
	return c.action, nil
}

func (c *container) done(a *held) {
	c.mu.Lock()
	a.users--
	unused := a.users == 0 && c.action != a
	c.mu.Unlock()
	if unused {
		a.Close()
	}
}

// swap gives the container other code, or none. What runs on the old code ends
// on it.
func (c *container) swap(next *held) {
	c.mu.Lock()
	old := c.action
	c.action = next
	unused := old != nil && old.users == 0
	c.mu.Unlock()
	if unused {
		old.Close()
	}
}

// enter waits for a slot to run an activation in.
func (c *container) enter(ctx context.Context) (leave func(), err error) {
	if c.slots == nil {
		return func() {}, nil
	}
	if err := take(ctx, c.slots); err != nil {
		return nil, err
	}
	return func() { <-c.slots }, nil
}

func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
