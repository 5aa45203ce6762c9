package invoker

import (
	"context"
	"runtime"
	"sync"

	"wasmwhisk/whisk"
)

// compilations are done behind everything else, each code's once at a time.
type compilations struct {
	ctx     context.Context //nolint:containedctx // of all of them
	compile func(context.Context, whisk.Digest)
	slots   chan struct{}
	begun   sync.WaitGroup

	mu      sync.Mutex
	pending map[whisk.Digest]struct{}
}

func newCompilations(ctx context.Context, compile func(context.Context, whisk.Digest)) *compilations {
	return &compilations{
		ctx:     ctx,
		compile: compile,
		slots:   make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		pending: map[whisk.Digest]struct{}{},
	}
}

// add has the code compiled, unless it is about to be.
func (c *compilations) add(digest whisk.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.pending[digest]; ok || c.ctx.Err() != nil {
		return
	}
	c.pending[digest] = struct{}{}
	c.begun.Go(func() {
		defer c.forget(digest)
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
			c.compile(c.ctx, digest)
		case <-c.ctx.Done():
		}
	})
}

func (c *compilations) forget(digest whisk.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, digest)
}

func (c *compilations) wait() { c.begun.Wait() }
