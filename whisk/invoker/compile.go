package invoker

import (
	"context"
	"runtime"
	"sync"

	"wasmwhisk/whisk"
)

// mostPending bounds the codes that wait to be compiled. It costs nobody more than
// time to be past it: the first activation has the code compiled.
const mostPending = 1024

// compilations are done behind everything else, each code's once at a time, in the
// order in which they were added.
type compilations struct {
	ctx     context.Context //nolint:containedctx // of all of them
	compile func(context.Context, whisk.Digest)
	most    int // at once
	begun   sync.WaitGroup

	mu      sync.Mutex
	running int // goroutines, each of which ends when nothing waits
	waiting []whisk.Digest
	pending map[whisk.Digest]struct{} // that wait or are being compiled
}

func newCompilations(ctx context.Context, compile func(context.Context, whisk.Digest)) *compilations {
	return &compilations{
		ctx:     ctx,
		compile: compile,
		most:    max(runtime.GOMAXPROCS(0)/2, 1),
		pending: map[whisk.Digest]struct{}{},
	}
}

// add has the code compiled, unless it is about to be or too many are.
func (c *compilations) add(digest whisk.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.pending[digest]; ok || len(c.pending) >= mostPending || c.ctx.Err() != nil {
		return
	}
	c.pending[digest] = struct{}{}
	c.waiting = append(c.waiting, digest)
	if c.running < c.most {
		c.running++
		c.begun.Go(c.work)
	}
}

// work compiles what waits until nothing does.
func (c *compilations) work() {
	for digest, ok := c.next(); ok; digest, ok = c.next() {
		c.compile(c.ctx, digest)
		c.forget(digest)
	}
}

func (c *compilations) next() (digest whisk.Digest, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 || c.ctx.Err() != nil {
		c.running--
		return digest, false
	}
	digest, c.waiting = c.waiting[0], c.waiting[1:]
	return digest, true
}

func (c *compilations) forget(digest whisk.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, digest)
}

// wait returns when nothing is compiled any more.
func (c *compilations) wait() { c.begun.Wait() }
