package invoker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// Pending is an activation that was submitted.
type Pending struct {
	invoker    *Invoker
	invocation Invocation
	key        string // of the action in its environment
	revision   string // of the action

	done   chan struct{} // closed when one of the following is set
	record *whisk.Activation
	err    error
}

func (i *Invoker) pending(inv Invocation) *Pending {
	return &Pending{
		invoker: i, invocation: inv, done: make(chan struct{}),
		key: inv.key(), revision: strconv.FormatInt(int64(inv.Revision), 10),
	}
}

// job is the activation as the scheduler sees it.
func (p *Pending) job() *job {
	a := p.invocation.Action
	return &job{
		namespace: string(p.invocation.Namespace),
		action:    a.FullName().ID(),
		memory:    int64(a.Limits.MemoryMB) << 20,
		bound:     a.Limits.Instances * a.Limits.Concurrency,
		start:     p.run,
		drop:      p.drop,
	}
}

// endsSoon is how much later than its caller's time an activation may end that the
// caller waits for all the same.
const endsSoon = time.Second

// endsBefore tells whether the activation, if it begins now, ends before ctx: that
// is so by its limit, once its action has been made.
func (p *Pending) endsBefore(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	limit := p.invocation.Action.Limits.Timeout
	return (!ok || time.Until(deadline) > limit-endsSoon) && p.invoker.warm.has(p.key, p.revision)
}

// Wait gives the record of the activation, which is durable then. If ctx ends
// first the error is [ErrUnfinished], and it is durable that there will be one.
func (p *Pending) Wait(ctx context.Context) (*whisk.Activation, error) {
	select {
	case <-p.done:
		return p.record, p.err
	case <-ctx.Done():
	}
	if err := p.promise(context.WithoutCancel(ctx), begun); err != nil {
		return nil, err
	}
	return nil, ErrUnfinished
}

// stage is how far an activation may have come when it is promised.
type stage bool

const (
	promised stage = false
	begun    stage = true
)

// promise has the store keep the activation until there is a record of it.
func (p *Pending) promise(ctx context.Context, s stage) error {
	if p.invocation.Unrecorded {
		return nil
	}
	promise := p.invocation.Promise()
	promise.Begun = bool(s)
	if err := p.invoker.config.Store.Accept(ctx, promise); err != nil {
		return fmt.Errorf("promise activation: %w", err)
	}
	return nil
}

// Promise is what a store keeps of the activation until there is a record of it.
func (inv *Invocation) Promise() *store.Promise {
	return &store.Promise{
		ID:          inv.ID,
		Subject:     inv.Subject,
		Namespace:   inv.Namespace,
		Action:      inv.Action.FullName(),
		Version:     inv.Action.Version,
		Accepted:    inv.Received,
		Arguments:   inv.Arguments,
		Annotations: inv.annotations(),
		Cause:       inv.Cause,
		Transaction: inv.Transaction,
	}
}

// run takes the activation from its turn to its record.
func (p *Pending) run() {
	began := time.Now()
	p.settle(p.activate(began), began)
}

// drop records an activation that never had its turn.
func (p *Pending) drop() {
	p.settle(ended{status: whisk.InternalError, message: textStopped}, time.Now())
}

// settle makes the record, and has it stored before it is known.
func (p *Pending) settle(e ended, began time.Time) {
	defer p.end()
	record := p.invocation.record(e, began, time.Now())
	if err := p.store(record); err != nil {
		p.err = fmt.Errorf("store activation record: %w", err)
		p.invoker.config.Logger.Error("activation record is lost",
			slog.String("activation_id", string(record.ID)), slog.Any("error", err))
		return
	}
	p.record = record
}

// store makes the record durable, if there is to be one.
func (p *Pending) store(record *whisk.Activation) error {
	if p.invocation.Unrecorded {
		return nil
	}
	// The caller's context has no part in this, nor has the end of the others.
	return p.invoker.config.Store.Append(context.Background(), record)
}

// end tells that there is nothing left to do: first who counts, so that a caller
// who has its answer may ask for the next.
func (p *Pending) end() {
	defer close(p.done)
	if p.invocation.Ended != nil {
		p.invocation.Ended()
	}
}

// activate runs the activation; what it panics with is its end alone.
func (p *Pending) activate(began time.Time) (e ended) {
	defer func() {
		if v := recover(); v != nil {
			p.invoker.config.Logger.Error("activation panicked", slog.Any("panic", v))
			e = ended{status: whisk.InternalError, message: textNoResources}
		}
	}()
	timeout := p.invocation.Action.Limits.Timeout
	a, trial, err := p.invoker.ready(p, began.Add(timeout))
	if err != nil {
		return p.invoker.notReady(err, trial, timeout, time.Since(began))
	}
	defer p.invoker.warm.put(a)
	e = ended{logs: trial.Logs.Lines}
	if trial.Source != 0 {
		e.initTook = max(time.Since(began), time.Millisecond)
	}
	deadline := time.Now().Add(timeout)
	out := a.made.Run(p.invoker.running, sandbox.Activation{
		Input:    p.invocation.Arguments,
		Context:  p.invocation.context(deadline),
		Deadline: deadline,
	})
	e.take(out, timeout)
	return e
}

// ready gives the action of an invocation, made before the deadline if it is not
// there.
func (i *Invoker) ready(p *Pending, deadline time.Time) (*warmAction, action.Trial, error) {
	a, first := i.warm.join(p.key, p.revision)
	if !first && a.isMade() {
		return a, action.Trial{}, nil
	}
	ctx, cancel := context.WithDeadline(i.running, deadline)
	defer cancel()
	inv := &p.invocation
	return i.warm.await(ctx, a, first, func(ctx context.Context) (*action.Action, action.Trial, error) {
		if inv.Action.Exec.Kind != whisk.KindWasm {
			return nil, action.Trial{}, whisk.Errorf(whisk.ActionFault, "The kind '%s' is not executed here: actions are WebAssembly of kind '%s'.", inv.Action.Exec.Kind, whisk.KindWasm)
		}
		code, err := i.code(ctx, inv.Action.Exec.Digest)
		if err != nil {
			return nil, action.Trial{}, err
		}
		req, err := inv.request(code)
		if err != nil {
			return nil, action.Trial{}, err
		}
		return i.config.Maker.Make(ctx, req)
	})
}

// code is the code of an action as clients upload it.
func (i *Invoker) code(ctx context.Context, digest whisk.Digest) (string, error) {
	code, err := i.config.Store.ReadCode(ctx, digest)
	if err != nil {
		return "", fmt.Errorf("read code: %w", err)
	}
	return base64.StdEncoding.EncodeToString(code), nil
}

// notReady is the end of an activation whose action could not be made.
func (i *Invoker) notReady(err error, trial action.Trial, timeout, took time.Duration) ended {
	e := ended{logs: trial.Logs.Lines, truncated: trial.Logs.Truncated, initTook: max(took, time.Millisecond)}
	var refused *whisk.Error
	switch {
	case errors.Is(err, errInterrupted):
		e.status, e.message = whisk.InternalError, textStopped
	case errors.Is(err, store.ErrNotFound): // by who updated or deleted it meanwhile
		e.status, e.message = whisk.ApplicationError, whisk.TextActionRemoved
	case errors.As(action.Failure(err, timeout), &refused):
		e.status, e.message = whisk.DeveloperError, refused.Message
		e.timedOut = errors.Is(err, context.DeadlineExceeded)
	default:
		i.config.Logger.Error("action cannot be made", slog.Any("error", err))
		e.status, e.message = whisk.InternalError, textNoResources
	}
	return e
}

// key is the same for activations that may share an action made ready: what
// belongs to a namespace, and what an action is initialized with, is in it.
func (inv *Invocation) key() string {
	return strings.Join(append([]string{string(inv.Namespace), inv.Action.FullName().ID()}, inv.env()...), "\x00")
}

// env is the environment that the action is initialized with, in order.
func (inv *Invocation) env() []string {
	env := make([]string, 0, len(inv.Env))
	for name, value := range inv.Env {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func (inv *Invocation) request(code string) (action.Request, error) {
	limits := inv.Action.Limits
	req := action.Request{
		Code:      code,
		Namespace: string(inv.Namespace),
		Env:       inv.env(),
		Limits: sandbox.Limits{
			MemoryPages:  uint32(min(int64(limits.MemoryMB)<<20, engine.MaxPages*engine.PageSize) / engine.PageSize),
			LogBytes:     max(limits.LogsMB<<20, 1), // 0 would be the default
			ResultBytes:  whisk.MaxResultBytes,
			PayloadBytes: whisk.MaxPayloadBytes + whisk.MaxParameterBytes,
		},
	}
	for _, annotation := range inv.Action.Annotations {
		if err := req.Wishes.Set(annotation.Key, annotation.Value); err != nil {
			return req, err
		}
	}
	return req, nil
}

// context is what the action learns about its activation.
func (inv *Invocation) context(deadline time.Time) abi.Context {
	c := abi.Context{
		{Name: "namespace", Value: string(inv.Namespace)},
		{Name: "action_name", Value: inv.Action.FullName().String()},
		{Name: "action_version", Value: inv.Action.Version.String()},
		{Name: "activation_id", Value: string(inv.ID)},
		{Name: "deadline", Value: strconv.FormatInt(deadline.UnixMilli(), 10)},
	}
	if inv.Transaction != "" {
		c = append(c, abi.Field{Name: "transaction_id", Value: inv.Transaction})
	}
	if inv.APIKey != "" {
		c = append(c, abi.Field{Name: "api_key", Value: inv.APIKey})
	}
	return c
}
