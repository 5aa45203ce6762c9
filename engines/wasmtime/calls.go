//go:build cgo && linux && amd64

package wasmtime

import (
	"context"
	"sync/atomic"
	"time"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v44"
)

// maxCalls bounds the guests that run on threads at once. Each keeps one, also while
// a host function blocks; at 10,000 threads the Go runtime would end the process.
const maxCalls = 2000

// places has a place for each guest that may run.
type places chan struct{}

// enter waits for a place.
func (p places) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p places) leave() { <-p }

const (
	// tickTime is how often a running guest looks at its context.
	tickTime = 2 * time.Millisecond

	// idleTicks is how long the ticker goes on after the last call: waking it
	// costs more than a short call.
	idleTicks = 50
)

// ticker counts time for the guests of an engine while any runs.
type ticker struct {
	engine  *wasmtime.Engine
	entered atomic.Int64 // calls that have begun
	running atomic.Int64 // calls that have begun and not ended
	awake   atomic.Bool
	wake    chan struct{}
	done    chan struct{}
	stopped chan struct{}
}

func startTicker(e *wasmtime.Engine) *ticker {
	t := &ticker{engine: e, wake: make(chan struct{}, 1), done: make(chan struct{}), stopped: make(chan struct{})}
	go t.run()
	return t
}

func (t *ticker) stop() {
	close(t.done)
	<-t.stopped
}

// begin and end stand around each call into a guest.
func (t *ticker) begin() {
	t.running.Add(1)
	t.entered.Add(1)
	if !t.awake.Load() {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *ticker) end() { t.running.Add(-1) }

func (t *ticker) run() {
	defer close(t.stopped)
	for {
		select {
		case <-t.wake:
			t.tick()
		case <-t.done:
			return
		}
	}
}

// tick counts while calls run, and for a while after. A call that begins as it
// ends finds the ticker asleep and wakes it, or still runs when it has fallen
// asleep.
func (t *ticker) tick() {
	clock := time.NewTicker(tickTime)
	defer clock.Stop()
	for {
		t.awake.Store(true)
		if !t.count(clock) {
			return
		}
		t.awake.Store(false)
		if t.running.Load() == 0 {
			return
		}
	}
}

// count counts until no call has begun for a while, and tells whether there is
// anybody to count for afterwards.
func (t *ticker) count(clock *time.Ticker) bool {
	for idle, last := 0, int64(-1); idle < idleTicks || t.running.Load() > 0; idle++ {
		select {
		case <-clock.C:
			t.engine.IncrementEpoch()
		case <-t.done:
			return false
		}
		if now := t.entered.Load(); now != last {
			idle, last = 0, now
		}
	}
	return true
}

// opened tells the first call of close from others.
type opened struct{ closed atomic.Bool }

func (o *opened) close() bool { return !o.closed.Swap(true) }
