package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
)

// Runner runs the activations of one action in processes of its own. It is safe
// for concurrent use.
type Runner struct {
	supervisor *Supervisor
	assignment assignment
	binary     []byte     // nil if there is an artefact
	files      []*os.File // that go to each process
	contract   abi.Name

	ctx    context.Context //nolint:containedctx // of processes in the making
	cancel context.CancelCauseFunc

	slots chan struct{} // as many as activations at once; nil for no bound

	mu      sync.Mutex
	members []*member // that may be given activations
	closed  bool
}

// member is a process of a runner, or the making of one.
type member struct {
	made chan struct{} // closed when process or err is set
	err  error
	*process

	load   int    // activations that run, guarded by the runner's lock
	served uint64 // the same
	used   time.Time
}

var errClosed = errors.New("runner is closed")

// Contract names the guest contract of the module.
func (r *Runner) Contract() abi.Name { return r.contract }

// Run is that of [sandbox.Template], in a worker process.
func (r *Runner) Run(ctx context.Context, a sandbox.Activation) sandbox.Outcome {
	if until, ok := ctx.Deadline(); ok && (a.Deadline.IsZero() || until.Before(a.Deadline)) {
		a.Deadline = until
	}
	return r.do(ctx, kindRun, a)
}

// Probe is that of [sandbox.Template], in a worker process.
func (r *Runner) Probe(ctx context.Context) sandbox.Outcome {
	until, _ := ctx.Deadline()
	return r.do(ctx, kindProbe, sandbox.Activation{Deadline: until})
}

func (r *Runner) do(ctx context.Context, k kind, a sandbox.Activation) sandbox.Outcome {
	m, err := r.acquire(ctx, a.Deadline)
	if err != nil {
		return failed(err)
	}
	defer r.release(m)
	if n, limit := len(a.Input), r.assignment.Limits.PayloadBytes; n > limit {
		return failed(&engine.LimitError{What: "payload", Unit: "bytes", Limit: uint64(limit), Wanted: uint64(n)})
	}
	return m.do(ctx, k, a, r.supervisor.config.Grace)
}

func failed(err error) sandbox.Outcome {
	return sandbox.Outcome{Status: sandbox.StatusOf(err), Err: err}
}

// acquire gives a process that has room for an activation.
func (r *Runner) acquire(ctx context.Context, deadline time.Time) (*member, error) {
	if !deadline.IsZero() && r.slots != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	m, err := r.member()
	if err != nil {
		r.leave()
		return nil, err
	}
	select {
	case <-m.made:
	case <-ctx.Done():
		r.release(m)
		return nil, context.Cause(ctx)
	}
	if m.err != nil {
		err := m.err
		r.release(m)
		return nil, err
	}
	return m, nil
}

func (r *Runner) enter(ctx context.Context) error {
	if r.slots == nil {
		return nil
	}
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Runner) leave() {
	if r.slots != nil {
		<-r.slots
	}
}

// member picks the process with the least to do, or has another made.
func (r *Runner) member() (*member, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	r.members = slices.DeleteFunc(r.members, func(m *member) bool { return m.isMade() && !m.alive() })
	var least *member
	for _, m := range r.members {
		if least == nil || m.load < least.load {
			least = m
		}
	}
	each := r.supervisor.config.Activations
	if least == nil || each > 0 && least.load >= each {
		least = r.hireLocked()
	}
	least.load++
	return least, nil
}

func (m *member) isMade() bool {
	select {
	case <-m.made:
		return true
	default:
		return false
	}
}

// hireLocked begins to make a process on behalf of all who will wait for it.
func (r *Runner) hireLocked() *member {
	m := &member{made: make(chan struct{})}
	r.members = append(r.members, m)
	r.supervisor.background.Go(func() {
		defer close(m.made)
		m.process, m.err = r.supervisor.hire(r)
		if m.err != nil {
			r.dismiss(m)
		}
	})
	return m
}

// weigh kills the processes at work that have more RAM than they may.
func (r *Runner) weigh(limit int64) {
	r.mu.Lock()
	var busy []*member
	for _, m := range r.members {
		if m.load > 0 && m.isMade() && m.err == nil {
			busy = append(busy, m)
		}
	}
	r.mu.Unlock()
	for _, m := range busy {
		if m.resident() > limit {
			m.overspend(limit)
		}
	}
}

// dismissIdle ends the processes that had nothing to do for so long.
func (r *Runner) dismissIdle(limit time.Duration) {
	if limit == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(m *member) bool {
		idle := m.load == 0 && m.isMade() && m.err == nil && time.Since(m.used) > limit
		if idle {
			m.stop(errStopped)
		}
		return idle
	})
}

// dismiss has the process get no activations any more.
func (r *Runner) dismiss(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
}

// release ends an activation in a process, and the process if its time has come.
func (r *Runner) release(m *member) {
	r.leave()
	r.mu.Lock()
	m.load--
	m.served++
	m.used = time.Now()
	idle, old := m.load == 0, m.isMade() && r.supervisor.config.worn(m)
	if old {
		r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
	}
	unwanted := idle && !slices.Contains(r.members, m)
	r.mu.Unlock()
	if unwanted && m.isMade() && m.err == nil {
		m.stop(errStopped)
	}
}

// Close ends the processes. Nothing may run in them any more. It may be called
// twice.
func (r *Runner) Close() {
	r.mu.Lock()
	members, closed := r.members, r.closed
	r.members, r.closed = nil, true
	r.mu.Unlock()
	r.cancel(errClosed)
	for _, m := range members {
		r.supervisor.background.Go(func() {
			<-m.made
			if m.err == nil {
				m.stop(errStopped)
			}
		})
	}
	if !closed {
		for _, f := range r.files {
			_ = f.Close()
		}
		r.supervisor.forget(r)
	}
}

// do runs an activation. Where it does not end in time the process is killed.
func (p *process) do(ctx context.Context, k kind, a sandbox.Activation, grace time.Duration) sandbox.Outcome {
	if ctx.Err() != nil {
		return failed(context.Cause(ctx))
	}
	id, answers, err := p.expectOutcome()
	if err != nil {
		return failed(err)
	}
	if !a.Deadline.IsZero() {
		late := time.AfterFunc(time.Until(a.Deadline)+grace, func() { p.overdue(id) })
		defer late.Stop()
	}
	// Where this fails the process has ended, or will be ended by its deadline.
	_ = p.send(frame{kind: k, id: id, payload: encodeActivation(a)})
	select {
	case got := <-answers:
		return got.settle(ctx, a.Deadline)
	case <-ctx.Done():
	}
	return p.cancel(ctx, id, answers, grace).settle(ctx, a.Deadline)
}

// cancel tells the worker that nobody wants the outcome any more, and kills it if
// it does not listen.
func (p *process) cancel(ctx context.Context, id uint64, answers <-chan answer, grace time.Duration) answer {
	impatient := time.AfterFunc(grace, func() { p.overdue(id) })
	defer impatient.Stop()
	_ = p.send(frame{kind: kindCancel, id: id})
	got := <-answers
	return got
}

// settle gives the outcome of an activation that may have been stopped.
func (got answer) settle(ctx context.Context, deadline time.Time) sandbox.Outcome {
	out := got.outcome
	if got.err != nil {
		out = failed(got.err)
	}
	switch {
	case out.Err == nil:
	case errors.Is(out.Err, errKilled) && !deadline.IsZero() && !time.Now().Before(deadline):
		out = failed(fmt.Errorf("%w: the worker process was killed", context.DeadlineExceeded))
	case ctx.Err() != nil && (errors.Is(out.Err, context.Canceled) || errors.Is(out.Err, errKilled)):
		out.Err = context.Cause(ctx)
		out.Status = sandbox.StatusOf(out.Err)
	}
	return out
}
