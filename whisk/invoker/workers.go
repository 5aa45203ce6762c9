package invoker

import "sync"

// workers are goroutines that run one activation after the other. An activation
// needs more stack than a goroutine begins with, and growing it costs more than a
// small activation: so some are kept when they have nothing to do.
type workers struct {
	begun sync.WaitGroup

	mu     sync.Mutex
	closed bool
	idle   []chan func() // of those that wait, who began to last at the end
}

// maxIdleWorkers bounds the stacks that are kept for nothing.
const maxIdleWorkers = 64

// do has a worker run a function. It does not block.
func (w *workers) do(run func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := len(w.idle) - 1; last >= 0 {
		w.idle[last] <- run
		w.idle = w.idle[:last]
		return
	}
	w.begun.Go(func() { w.work(run) })
}

// work runs what it is given until it may not wait for more.
func (w *workers) work(run func()) {
	next := make(chan func(), 1)
	for ok := true; ok; run, ok = <-next {
		run()
		if !w.offer(next) {
			return
		}
	}
}

// offer has the next function come by a channel, unless enough wait already.
func (w *workers) offer(next chan func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdleWorkers {
		return false
	}
	w.idle = append(w.idle, next)
	return true
}

// wait ends the workers that have nothing to do, and returns when the others have
// ended, too.
func (w *workers) wait() {
	w.mu.Lock()
	w.closed = true
	for _, next := range w.idle {
		close(next)
	}
	w.idle = nil
	w.mu.Unlock()
	w.begun.Wait()
}
