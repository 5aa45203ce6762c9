// Package invoker runs activations on this node: it queues them, fairly between
// namespaces and bounded for each action; keeps actions ready that are used;
// has each activation run in a sandbox of its own; and stores its record before
// anybody learns of it.
//
// The controller gives it invocations whose names, rights and parameters are
// settled. An activation has one of two beginnings. [Invoker.Submit] is for a
// caller who waits: it gets the record, once that is durable. [Invoker.Accept]
// is for one who does not: it returns when the promise is durable that there
// will be a record, whatever happens to this process. A caller who waited too
// long turns the first into the second. Of an activation that is not to be
// recorded there is neither promise nor record.
//
// Locks are never held together, but for the scheduler's and, after it, that of
// its workers.
package invoker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// ErrUnfinished means that an activation takes longer than its caller waited.
// It goes on, and there will be a record of it.
var ErrUnfinished = errors.New("activation is not finished yet")

// Store is what an invoker needs of a [store.Store].
type Store interface {
	store.Code
	store.Journal
	Append(ctx context.Context, records ...*whisk.Activation) error
}

// Invocation is an activation to be. Who asks for it may do so.
type Invocation struct {
	ID        whisk.ActivationID
	Subject   string
	Namespace whisk.EntityName // of who invokes
	APIKey    string           // of who invokes, "uuid:secret", for the actions that want it

	// Action is what runs, bindings resolved; Revision tells it from what had
	// its name before.
	Action   *whisk.Action
	Revision store.Revision

	// Binding is the package that the action was reached through if that stands
	// for another: "guest/bound".
	Binding string

	// Arguments is the JSON object or array that the action gets. Env is what it
	// is initialized with.
	Arguments []byte
	Env       map[string]string

	Cause    whisk.ActivationID // the sequence that it is part of
	CausedBy string             // what sort of thing that is

	Received    time.Time // when the request for it came
	Transaction string

	// Unrecorded leaves nothing of the activation in the store: who waits for it
	// gets its record, and nobody else ever does.
	Unrecorded bool

	// Ended is called, unless it is nil, once there is nothing left of an
	// activation that was submitted or accepted.
	Ended func()
}

// Invoker runs activations. Its methods may be called from several goroutines at
// once.
type Invoker struct {
	config    Config
	scheduler *scheduler
	warm      *warmActions
	compiling *compilations

	running context.Context //nolint:containedctx // of all activations: it ends when Stop has no time left
	abort   context.CancelCauseFunc

	background sync.WaitGroup
	sweeping   chan struct{}
	stopping   sync.Once
}

// New makes an invoker, which takes invocations at once. Start is needed for
// what an earlier process left behind.
func New(config Config) *Invoker {
	config = config.withDefaults()
	i := &Invoker{
		config:    config,
		scheduler: newScheduler(config.Capacity),
		warm:      newWarmActions(config.Capacity.Warm, config.Capacity.Idle),
		sweeping:  make(chan struct{}),
	}
	i.running, i.abort = context.WithCancelCause(context.Background())
	i.compiling = newCompilations(i.running, i.precompile)
	return i
}

// Start records the activations that an earlier process promised and did not
// end. They are not run: they may have been, and what they did may not be done
// twice.
func (i *Invoker) Start(ctx context.Context) error {
	for promise, err := range i.config.Store.Pending(ctx) {
		if err != nil {
			return fmt.Errorf("read promised activations: %w", err)
		}
		if err := i.config.Store.Append(ctx, lost(promise, time.Now())); err != nil {
			return fmt.Errorf("record promised activation %s: %w", promise.ID, err)
		}
		i.config.Logger.Warn("promised activation was interrupted", slog.String("activation_id", string(promise.ID)))
	}
	i.background.Go(i.sweep)
	return nil
}

// sweep looks after idle actions until the invoker is stopped.
func (i *Invoker) sweep() {
	ticker := time.NewTicker(min(i.config.Capacity.Idle, sweepEvery))
	defer ticker.Stop()
	for {
		select {
		case <-i.sweeping:
			return
		case now := <-ticker.C:
			i.warm.sweep(now)
		}
	}
}

const sweepEvery = 10 * time.Second

// Submit has an activation run when its turn comes. The error is a
// [whisk.Error]: the node has no room for it.
func (i *Invoker) Submit(inv Invocation) (*Pending, error) {
	p := i.pending(inv)
	if err := i.scheduler.add(p.job()); err != nil {
		return nil, err
	}
	return p, nil
}

// Invoke has an activation run and waits for its record. If ctx ends first the
// error is [ErrUnfinished]: see [Pending.Wait].
//
// What can begin at once, and is sure to end before ctx, runs on the caller's
// goroutine: to hand it to another and back costs as much as a small activation.
func (i *Invoker) Invoke(ctx context.Context, inv Invocation) (*whisk.Activation, error) {
	p := i.pending(inv)
	j := p.job()
	if p.endsBefore(ctx) && i.scheduler.claim(j) {
		defer i.scheduler.release(j)
		p.run()
		return p.record, p.err
	}
	if err := i.scheduler.add(j); err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// Accept has an activation run and returns when it is durable that there will
// be a record of it.
func (i *Invoker) Accept(ctx context.Context, inv Invocation) error {
	p, err := i.Submit(inv)
	if err != nil {
		return err
	}
	return p.promise(ctx, promised)
}

// Precompile has the code of an action compiled behind what comes next, so that
// its first activation need not wait for that, or not as long.
func (i *Invoker) Precompile(a *whisk.Action) {
	if a.Exec.Kind == whisk.KindWasm {
		i.compiling.add(a.Exec.Digest)
	}
}

func (i *Invoker) precompile(ctx context.Context, digest whisk.Digest) {
	code, err := i.code(ctx, digest)
	if err == nil {
		err = i.config.Maker.Precompile(ctx, code)
	}
	if err != nil && ctx.Err() == nil {
		i.config.Logger.Debug("code cannot be compiled", slog.String("digest", digest.String()), slog.Any("error", err))
	}
}

// Stats counts what an invoker has.
type Stats struct{ Running, Waiting, Warm int }

// Stats tells how much there is to do.
func (i *Invoker) Stats() Stats {
	running, waiting := i.scheduler.inFlight()
	return Stats{Running: running, Waiting: waiting, Warm: i.warm.count()}
}

// Stop ends the invoker: what waits is recorded as not run, and what runs ends
// by itself, or when ctx is done. It may be called twice.
func (i *Invoker) Stop(ctx context.Context) {
	i.stopping.Do(func() {
		close(i.sweeping)
		i.scheduler.close()
	})
	release := context.AfterFunc(ctx, func() { i.abort(errInterrupted) })
	defer release()
	i.scheduler.wait()
	i.abort(errInterrupted)
	i.compiling.wait()
	i.background.Wait()
	i.warm.closeAll()
}

var errInterrupted = errors.New("the server was stopped")

// Config is what an [Invoker] is made with. Maker and Store are required.
type Config struct {
	Maker *action.Maker
	Store Store

	Capacity Capacity

	// Logger takes what goes wrong; nil discards it.
	Logger *slog.Logger
}
