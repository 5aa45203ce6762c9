package invoker

import (
	"slices"
	"sync"

	"wasmwhisk/whisk"
)

// job is an activation that waits for its turn.
type job struct {
	namespace string
	action    string // what shares a queue
	memory    int64  // that it may come to use
	bound     int    // on the activations of its action at once; 0 is none
	start     func() // called by a worker
	drop      func() // called instead, when the scheduler is closed
}

// scheduler decides which activation is next. Namespaces share the node fairly:
// the next is of the one with the fewest running, whatever each has waiting.
// Within a namespace its actions take turns, and one action's activations start
// in the order in which they came.
type scheduler struct {
	capacity Capacity
	workers  workers
	claimed  sync.WaitGroup // jobs that their callers run

	mu      sync.Mutex
	closed  bool
	count   int   // of running activations
	memory  int64 // they may come to use
	tenants map[string]*tenant
	waiting []*tenant // those with a queue, who waits longest first
}

// tenant is what a namespace has on the node.
type tenant struct {
	name    string
	running int
	queues  map[string]*queue
	turns   []*queue // those with jobs, the next first
}

// queue is what an action has on the node.
type queue struct {
	action  string
	running int
	jobs    []*job
}

func newScheduler(capacity Capacity) *scheduler {
	return &scheduler{capacity: capacity, tenants: map[string]*tenant{}}
}

// add has the job started in its turn. The error is a [whisk.Error].
func (s *scheduler) add(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errStopping()
	case j.memory > s.capacity.MemoryBytes:
		return whisk.Errorf(whisk.Unavailable, "The action needs %d MB of memory, the node has %d MB.", j.memory>>20, s.capacity.MemoryBytes>>20)
	}
	if err := s.enqueueLocked(j); err != nil {
		return err
	}
	s.dispatchLocked()
	return nil
}

func (s *scheduler) enqueueLocked(j *job) error {
	t := s.tenantLocked(j.namespace)
	q := t.queue(j.action)
	if len(q.jobs) >= s.capacity.Queue {
		return whisk.Errorf(whisk.TooManyRequests, "Too many activations of the action are waiting (count: %d, allowed: %d).", len(q.jobs), s.capacity.Queue)
	}
	if len(t.turns) == 0 {
		s.waiting = append(s.waiting, t)
	}
	if len(q.jobs) == 0 {
		t.turns = append(t.turns, q)
	}
	q.jobs = append(q.jobs, j)
	return nil
}

func (s *scheduler) tenantLocked(name string) *tenant {
	t, ok := s.tenants[name]
	if !ok {
		t = &tenant{name: name, queues: map[string]*queue{}}
		s.tenants[name] = t
	}
	return t
}

func (t *tenant) queue(action string) *queue {
	q, ok := t.queues[action]
	if !ok {
		q = &queue{action: action}
		t.queues[action] = q
	}
	return q
}

// dispatchLocked starts all that the node has room for.
func (s *scheduler) dispatchLocked() {
	for s.count < s.capacity.Activations {
		t, q := s.nextLocked()
		if t == nil || s.memory+q.jobs[0].memory > s.capacity.MemoryBytes {
			return // a large one is waited for, or small ones would always overtake it
		}
		s.startLocked(t, q)
	}
}

// nextLocked is the queue whose first job comes next, nil if none may start.
func (s *scheduler) nextLocked() (next *tenant, from *queue) {
	for _, t := range s.waiting {
		if next != nil && t.running >= next.running {
			continue
		}
		if q := t.ready(); q != nil {
			next, from = t, q
		}
	}
	return next, from
}

// ready is the tenant's next queue that may start a job, nil if none may.
func (t *tenant) ready() *queue {
	for _, q := range t.turns {
		if q.mayStart(q.jobs[0]) {
			return q
		}
	}
	return nil
}

func (s *scheduler) startLocked(t *tenant, q *queue) {
	j := q.jobs[0]
	q.jobs = q.jobs[1:]
	s.occupyLocked(t, q, j)
	s.rotateLocked(t, q)
	s.workers.do(func() {
		defer s.finish(j)
		j.start()
	})
}

func (s *scheduler) occupyLocked(t *tenant, q *queue, j *job) {
	s.count++
	s.memory += j.memory
	t.running++
	q.running++
}

// mayStart tells whether the bound of the action lets another job of it begin.
func (q *queue) mayStart(j *job) bool { return j.bound == 0 || q.running < j.bound }

// claim gives a job its turn at once, if nobody waits and there is room. Then the
// caller runs it, and releases it when it has ended.
func (s *scheduler) claim(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.waiting) > 0 || s.count >= s.capacity.Activations || s.memory+j.memory > s.capacity.MemoryBytes {
		return false
	}
	t := s.tenantLocked(j.namespace)
	q := t.queue(j.action)
	if !q.mayStart(j) {
		return false // so the queue was there before
	}
	s.occupyLocked(t, q, j)
	s.claimed.Add(1)
	return true
}

func (s *scheduler) release(j *job) {
	defer s.claimed.Done()
	s.finish(j)
}

// rotateLocked puts who had a turn behind the others.
func (s *scheduler) rotateLocked(t *tenant, q *queue) {
	t.turns = slices.DeleteFunc(t.turns, func(other *queue) bool { return other == q })
	if len(q.jobs) > 0 {
		t.turns = append(t.turns, q)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(other *tenant) bool { return other == t })
	if len(t.turns) > 0 {
		s.waiting = append(s.waiting, t)
	}
}

// finish gives back what a job had, and forgets whom nothing is left of.
func (s *scheduler) finish(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[j.namespace]
	q := t.queues[j.action]
	s.count--
	s.memory -= j.memory
	t.running--
	q.running--
	if q.running == 0 && len(q.jobs) == 0 {
		delete(t.queues, q.action)
	}
	if len(t.queues) == 0 {
		delete(s.tenants, t.name)
	}
	s.dispatchLocked()
}

// inFlight counts what runs and what waits.
func (s *scheduler) inFlight() (running, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.waiting {
		for _, q := range t.turns {
			waiting += len(q.jobs)
		}
	}
	return s.count, waiting
}

// close refuses new jobs and drops those that wait. What runs goes on; wait
// waits for it.
func (s *scheduler) close() {
	s.mu.Lock()
	s.closed = true
	var dropped []*job
	for _, t := range s.waiting {
		for _, q := range t.turns {
			dropped = append(dropped, q.jobs...)
			q.jobs = nil
		}
		t.turns = nil
	}
	s.waiting = nil
	s.mu.Unlock()
	for _, j := range dropped {
		j.drop()
	}
}

func (s *scheduler) wait() {
	s.claimed.Wait()
	s.workers.wait()
}

func errStopping() error {
	return &whisk.Error{Kind: whisk.Unavailable, Message: "The server is shutting down."}
}
