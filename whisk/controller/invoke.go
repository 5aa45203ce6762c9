package controller

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/invoker"
)

// maxWait is how long a caller may wait for an activation.
const maxWait = time.Minute

// invokeOptions say what the answer to an invocation is to be.
type invokeOptions struct {
	blocking bool // the record, once it is there
	result   bool // of that only the result
	timeout  time.Duration
}

func (r *request) invokeOptions() (o invokeOptions, err error) {
	if o.blocking, err = r.flag("blocking", no); err != nil {
		return o, err
	}
	if o.result, err = r.flag("result", no); err != nil {
		return o, err
	}
	o.timeout = maxWait
	if text, ok := r.query("timeout"); ok {
		ms, err := strconv.ParseInt(text, 10, 32)
		if err != nil || ms < 1 || ms > maxWait.Milliseconds() {
			return o, badQuery("timeout", textBadTimeout, maxWait.Milliseconds())
		}
		o.timeout = time.Duration(ms) * time.Millisecond
	}
	return o, nil
}

// payload reads the JSON object that comes with an invocation or a fire.
func (r *request) payload() ([]byte, error) {
	if err := wantJSON(r.Request()); err != nil {
		return nil, err
	}
	body, release, err := r.controller.bodies.receive(r, whisk.MaxPayloadBytes)
	if err != nil {
		return nil, err
	}
	release() // it is counted by the bounds of what runs from here on
	if isArray(bytes.TrimSpace(body)) {
		// Only components of sequences may get one.
		return nil, whisk.Malformed("Object expected")
	}
	return body, wantText(body)
}

// runner runs activations, or chains of them.
type runner interface {
	Invoke(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error)
	Accept(ctx context.Context, inv invoker.Invocation) error
}

func (c *Controller) runnerOf(a *whisk.Action) runner {
	switch {
	case a.Exec.Kind == whisk.KindSequence:
		return composer{c, (*composition).sequence}
	case a.Annotations.Truthy("conductor"):
		return composer{c, (*composition).conduct}
	default:
		return c.config.Invoker
	}
}

func (c *Controller) invokeAction(r *request) error {
	options, err := r.invokeOptions()
	if err != nil {
		return err
	}
	name, err := r.fullName()
	if err != nil {
		return err
	}
	inv, err := c.admit(r, name, r.payload)
	if err != nil {
		return err
	}
	if options.blocking {
		return c.await(r, inv, options)
	}
	return c.accept(r, inv)
}

// admit settles what an invocation is to be, within the rates of the caller. What
// is past those is refused before anything else is done for it: a flood of it is
// to cost others as little as can be, and its payload is not even read.
func (c *Controller) admit(r *request, name whisk.FullyQualifiedName, receive func() ([]byte, error)) (invoker.Invocation, error) {
	if err := c.duty.check(); err != nil {
		return invoker.Invocation{}, err
	}
	ended, err := c.throttle.Invoke(r.caller.Identity)
	if err != nil {
		return invoker.Invocation{}, err
	}
	inv, err := c.requested(r, name, receive)
	if err != nil {
		ended()
		return inv, err
	}
	inv.Received, inv.Transaction = r.received, transactionOf(r)
	inv.Ended = c.inFlight.add(inv.ID, ended)
	return inv, nil
}

// requested is the invocation that a request asks for, which may not give what
// the action has settled.
func (c *Controller) requested(r *request, name whisk.FullyQualifiedName, receive func() ([]byte, error)) (invoker.Invocation, error) {
	payload, err := receive()
	if err != nil {
		return invoker.Invocation{}, err
	}
	found, err := c.invocable(r.ctx(), r.caller, name)
	if err != nil {
		return invoker.Invocation{}, err
	}
	if err := c.checkComponents(r, found.action); err != nil {
		return invoker.Invocation{}, err
	}
	if err := checkFinal(found.action, found.parameters(), payload); err != nil {
		return invoker.Invocation{}, err
	}
	return found.invocation(r.caller, payload)
}

// checkComponents refuses a sequence that has parts which the caller may not
// invoke. Parts that are not there end it when it gets to them.
func (c *Controller) checkComponents(r *request, a *whisk.Action) error {
	for _, name := range a.Exec.Components {
		if err := checkAccess(r.ctx(), c.config.Store, r.caller.Identity, name); isForbidden(err) {
			return err
		}
	}
	return nil
}

// invocable finds an action that somebody may invoke.
func (c *Controller) invocable(ctx context.Context, who caller, name whisk.FullyQualifiedName) (*reached, error) {
	found, err := findAction(ctx, c.config.Store, who.Identity, name)
	if err != nil {
		return nil, err
	}
	return found, checkKind(who.Identity, found.action.Exec.Kind)
}

// invocation puts parameters and payload together.
func (a *reached) invocation(who caller, payload []byte) (invoker.Invocation, error) {
	atInit, atRun := a.parameters().Split()
	if a.action.Exec.Kind == whisk.KindSequence {
		atRun = nil // they say what it is made of
	}
	args, err := arguments(atRun, payload)
	if err != nil {
		return invoker.Invocation{}, err
	}
	return invoker.Invocation{
		ID:         whisk.NewActivationID(),
		Subject:    who.Subject,
		Namespace:  who.Namespace,
		APIKey:     who.key.Text(),
		Action:     a.action,
		Revision:   a.revision,
		Binding:    a.binding(),
		Arguments:  args,
		Env:        atInit.Env(),
		Received:   time.Now(),
		Unrecorded: !who.Limits.Records(),
	}, nil
}

// accept answers once it is durable that there will be a record.
func (c *Controller) accept(r *request, inv invoker.Invocation) error {
	if err := c.acceptLater(r, inv); err != nil {
		return err
	}
	return r.accepted(inv.ID)
}

func (c *Controller) acceptLater(r *request, inv invoker.Invocation) error {
	return handOver(inv, func() error { return c.runnerOf(inv.Action).Accept(r.ctx(), inv) })
}

// handOver gives an invocation to what runs it. If that does not take it, there
// is nothing left of it.
func handOver(inv invoker.Invocation, give func() error) error {
	taken := false
	defer func() {
		if !taken { // by an error, or a panic
			inv.Ended()
		}
	}()
	err := give()
	taken = err == nil
	return err
}

// await answers with the record, or only says that there will be one if that
// takes longer than the caller waits.
func (c *Controller) await(r *request, inv invoker.Invocation, options invokeOptions) error {
	ctx, cancel := context.WithTimeout(r.ctx(), options.timeout)
	defer cancel()
	var record *whisk.Activation // nil while it is not finished
	err := handOver(inv, func() (err error) {
		record, err = c.runnerOf(inv.Action).Invoke(ctx, inv)
		if errors.Is(err, invoker.ErrUnfinished) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case record == nil:
		return r.accepted(inv.ID)
	}
	return r.answerRecord(record, options)
}

func (r *request) accepted(id whisk.ActivationID) error {
	r.Response().Header().Set(headerActivation, string(id))
	return sendJSON(r, http.StatusAccepted, map[string]whisk.ActivationID{"activationId": id})
}

// answerRecord answers with a record, or its result. An array goes bare, as from
// OpenWhisk.
func (r *request) answerRecord(record *whisk.Activation, options invokeOptions) error {
	r.Response().Header().Set(headerActivation, string(record.ID))
	status := statusOf(record.Response.Status)
	result := record.Response.Result
	if len(result) == 0 {
		result = []byte("{}")
	}
	if options.result || isArray(result) {
		return send(r, status, echo.MIMEApplicationJSON, result)
	}
	return sendJSON(r, status, record)
}

// statusOf is the HTTP status that tells how an activation ended.
func statusOf(s whisk.Status) int {
	switch s {
	case whisk.Success:
		return http.StatusOK
	case whisk.ApplicationError, whisk.DeveloperError:
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}
