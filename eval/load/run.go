package load

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxInFlight bounds the operations of an open plan that are under way at once.
// Past it operations begin late, which the samples show.
const maxInFlight = 8192

// defaultTimeout is that of an operation without one.
const defaultTimeout = time.Minute

// runner is a plan under way.
type runner struct {
	plan       Plan
	operations []*operation
	hosts      hosts
	start      time.Time
	done       atomic.Int64

	mu      sync.Mutex
	samples []Sample
}

// run does what a valid plan says and gives what it measured, up to the end of
// ctx. tick is called now and then with the number of samples.
func run(ctx context.Context, plan Plan, tick func(done int)) (*Result, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	r := &runner{plan: plan}
	var err error
	if r.operations, r.hosts, err = spell(plan.Operations); err != nil {
		return nil, err
	}
	if r.plan.Timeout == 0 {
		r.plan.Timeout = defaultTimeout
	}
	defer r.hosts.close()
	r.hosts.warm(ctx, r.warmth())
	return r.measure(ctx, tick), nil
}

// warmth is the number of connections to begin with.
func (r *runner) warmth() int {
	const open = 16
	if r.plan.Clients > 0 {
		return r.plan.Clients
	}
	return open
}

func (r *runner) measure(ctx context.Context, tick func(done int)) *Result {
	stop := context.AfterFunc(ctx, r.hosts.close)
	defer stop()
	before := processorTime()
	r.start = time.Now()
	finished := r.ticker(tick)
	if r.plan.Clients > 0 {
		r.closed(ctx)
	} else {
		r.open(ctx)
	}
	finished()
	res := &Result{Samples: r.samples, Took: time.Since(r.start)}
	res.Busy = float64(processorTime()-before) / float64(max(1, res.Took))
	res.Saturated = saturated(r.plan, res)
	slices.SortStableFunc(res.Samples, func(a, b Sample) int { return cmp.Compare(a.Began+a.Took, b.Began+b.Took) })
	return res
}

// ticker calls tick until the function that it gives is called.
func (r *runner) ticker(tick func(done int)) (finished func()) {
	const every = 100 * time.Millisecond
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-over:
				return
			case <-t.C:
				tick(int(r.done.Load()))
			}
		}
	}()
	return func() { close(over); <-ended }
}

// closed has each client begin when its last operation has ended.
func (r *runner) closed(ctx context.Context) {
	var next atomic.Int64
	var clients sync.WaitGroup
	for range r.plan.Clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				began := time.Since(r.start)
				op, ok := r.turn(int(next.Add(1)-1), began)
				if !ok {
					return
				}
				r.operate(ctx, op, began)
			}
		})
	}
	clients.Wait()
}

// turn gives the i-th operation, unless at that time nothing begins any more.
func (r *runner) turn(i int, at time.Duration) (op int, ok bool) {
	n := len(r.plan.Sequence)
	if r.plan.Duration > 0 {
		return r.plan.Sequence[i%n], at < r.plan.Duration
	}
	if i >= n {
		return 0, false
	}
	return r.plan.Sequence[i], true
}

// open begins operations when their time has come. Of the workers that have
// nothing to do one has the lead: it waits for the next arrival, gives the lead
// away and sends the request itself, so that no time passes between the two.
func (r *runner) open(ctx context.Context) {
	o := &opener{r: r, lead: make(chan struct{}, 1), over: make(chan struct{}), arrivals: r.plan.arrivals()}
	o.lead <- struct{}{}
	o.spawn(ctx)
	o.workers.Wait()
}

type opener struct {
	r        *runner
	lead     chan struct{}
	over     chan struct{} // closed by the leader after the last arrival
	workers  sync.WaitGroup
	count    atomic.Int64
	idle     atomic.Int64
	arrivals func() (time.Duration, bool)
	next     int // of the leader's
}

func (o *opener) spawn(ctx context.Context) {
	o.count.Add(1)
	o.idle.Add(1)
	o.workers.Go(func() { o.work(ctx) })
}

func (o *opener) work(ctx context.Context) {
	for {
		select {
		case <-o.over:
			return
		case <-o.lead:
		}
		op, at, ok := o.arrive(ctx)
		if !ok {
			close(o.over)
			return
		}
		if o.idle.Add(-1) == 0 && o.count.Load() < maxInFlight {
			o.spawn(ctx)
		}
		o.lead <- struct{}{}
		o.r.operate(ctx, op, at)
		o.idle.Add(1)
	}
}

// arrive waits for the next operation to begin.
func (o *opener) arrive(ctx context.Context) (op int, at time.Duration, ok bool) {
	if at, ok = o.arrivals(); !ok {
		return 0, 0, false
	}
	if op, ok = o.r.turn(o.next, at); !ok {
		return 0, 0, false
	}
	o.next++
	return op, at, waitUntil(ctx, o.r.start.Add(at))
}

// arrivals gives the times of an open plan, one after the other.
func (p *Plan) arrivals() func() (time.Duration, bool) {
	if p.Rate > 0 {
		return p.poisson()
	}
	i := 0
	return func() (time.Duration, bool) {
		if i == len(p.Arrivals) {
			return 0, false
		}
		i++
		return p.Arrivals[i-1], true
	}
}

// poisson has no end: the sequence or the duration has.
func (p *Plan) poisson() func() (time.Duration, bool) {
	random := rand.New(rand.NewPCG(p.Seed, 0)) //nolint:gosec // arrivals are to be the same in each run
	at := 0.0
	return func() (time.Duration, bool) {
		at += random.ExpFloat64() / p.Rate
		return time.Duration(at * float64(time.Second)), true
	}
}

// operate does an operation that should have begun at a time and keeps what
// became of it, unless ctx is what ended it.
func (r *runner) operate(ctx context.Context, op int, began time.Duration) {
	s := Sample{Operation: op, Began: began}
	if r.plan.Clients == 0 {
		s.Late = time.Since(r.start) - began
	}
	r.perform(ctx, r.operations[op], &s)
	s.Took = time.Since(r.start) - began
	if ctx.Err() != nil && s.Failure != "" {
		return
	}
	r.done.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

// perform makes the requests of an operation, and before them those that prepare
// it, if nobody has.
func (r *runner) perform(ctx context.Context, o *operation, s *Sample) {
	deadline := time.Now().Add(r.plan.Timeout)
	if !o.prepared.Load() {
		r.prepare(ctx, o, s, deadline)
	}
	if s.Failure == "" {
		r.exchange(ctx, o.steps, s, deadline)
	}
	if len(s.Steps) == 1 {
		s.Steps = nil
	}
}

// prepare has one operation ask while others wait for it.
func (r *runner) prepare(ctx context.Context, o *operation, s *Sample, deadline time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.prepared.Load() {
		return
	}
	s.Prepared = true
	r.exchange(ctx, o.prepare, s, deadline)
	o.prepared.Store(s.Failure == "")
}

// exchange makes requests up to the first that fails.
func (r *runner) exchange(ctx context.Context, steps []request, s *Sample, deadline time.Time) {
	for i := range steps {
		before := time.Now()
		got, err := r.ask(ctx, &steps[i], deadline)
		s.Status, s.Body = got.status, got.body
		s.Failure = failure(&steps[i], got, err)
		s.Steps = append(s.Steps, time.Since(before))
		if s.Failure != "" {
			return
		}
	}
}

func (r *runner) ask(ctx context.Context, step *request, deadline time.Time) (answer, error) {
	c, err := r.connection(ctx, step.host, deadline)
	if err != nil {
		return answer{}, err
	}
	got, err := c.exchange(step, r.plan.Bodies)
	if err != nil || got.last {
		step.host.drop(c)
	} else {
		step.host.put(c)
	}
	return got, err
}

func (r *runner) connection(ctx context.Context, to *host, deadline time.Time) (*conn, error) {
	c := to.warm()
	if c == nil {
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		var err error
		if c, err = to.dial(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.SetDeadline(deadline)
}
