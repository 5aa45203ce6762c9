package wazero

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// turns are had by guests that run for long: no more of them at once than there
// are processors. The others wait outside the scheduler's queue. There each would
// keep whatever comes in waiting for the time of a slice, and would be as late
// itself when its deadline has come.
type turns struct {
	taken  chan struct{} // an element for each guest that has one
	rested atomic.Int64  // when a processor last had nothing to do, since born
	born   time.Time
}

// restEvery is how often a processor is left with nothing to do while guests that
// run for long have all of them: it is then that the scheduler looks at the
// network. By itself it does so every 10 ms.
const restEvery = 4 * time.Millisecond

func newTurns() *turns {
	return &turns{taken: make(chan struct{}, runtime.GOMAXPROCS(0)), born: time.Now()}
}

// wait waits for a turn. Whoever waits longest is next, but only after all that
// is ready to run already: the scheduler favours who was just woken.
func (t *turns) wait(ctx context.Context) error {
	select {
	case t.taken <- struct{}{}:
		runtime.Gosched()
		t.rest()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *turns) give() { <-t.taken }

func (t *turns) rest() {
	if len(t.taken) < cap(t.taken) {
		return
	}
	last, now := t.rested.Load(), int64(time.Since(t.born))
	if now-last > int64(restEvery) && t.rested.CompareAndSwap(last, now) {
		time.Sleep(time.Microsecond) //nolint:forbidigo // not to wait, but to have nothing to do
	}
}
