package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/invoker"
)

const (
	// maxComponents bounds the actions of a sequence, and of a composition.
	maxComponents = 50
	// maxConductions bounds how often conductors are asked in a composition: before
	// each component, and once after the last.
	maxConductions = 2*maxComponents + 1
	// maxDepth bounds sequences within sequences.
	maxDepth = 2 * maxComponents
	// patience is how much longer than its limit a component may take to end.
	patience = time.Minute

	causedBySequence = "sequence"
)

const (
	textTooManyComponents = "Too many actions in the sequence."
	textNoComponent       = "Sequence component does not exist."
	textComponentLate     = "Timeout reached when retrieving activation %s for sequence component."
	textCompositionLate   = "Timeout reached when retrieving activation %s during composition."
)

// composer runs what is made of several activations: it is to sequences what an
// invoker is to actions.
type composer struct {
	controller *Controller
	run        func(*composition, context.Context) whisk.Response
}

// ending is how a composition ended.
type ending struct {
	record *whisk.Activation
	err    error
}

// Invoke gives the record of a composition, see [Invoker].
func (p composer) Invoke(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error) {
	ended, err := p.begin(inv)
	if err != nil {
		return nil, err
	}
	select {
	case e := <-ended:
		return e.record, e.err
	case <-ctx.Done():
	}
	if err := p.promise(context.WithoutCancel(ctx), inv); err != nil {
		return nil, err
	}
	return nil, invoker.ErrUnfinished
}

// Accept promises the record of a composition, see [Invoker].
func (p composer) Accept(ctx context.Context, inv invoker.Invocation) error {
	if _, err := p.begin(inv); err != nil {
		return err
	}
	return p.promise(ctx, inv)
}

// promise has the store keep the composition, which has begun, until there is a
// record of it; of one without a record, nothing.
func (p composer) promise(ctx context.Context, inv invoker.Invocation) error {
	if inv.Unrecorded {
		return nil
	}
	promise := inv.Promise()
	promise.Begun, promise.Annotations = true, annotations(&inv, 0)
	if err := p.controller.config.Store.Accept(ctx, promise); err != nil {
		return fmt.Errorf("promise activation: %w", err)
	}
	return nil
}

// begin runs a composition behind what comes next, unless the controller is being
// stopped.
func (p composer) begin(inv invoker.Invocation) (<-chan ending, error) {
	c := p.controller
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil, whisk.Errorf(whisk.Unavailable, "The server is being stopped.")
	}
	ended := make(chan ending, 1)
	c.composers.Go(func() {
		record, err := p.compose(c.composing, inv, &tally{})
		if err != nil {
			c.config.Logger.Error("activation record is lost",
				slog.String("activation_id", string(inv.ID)), slog.Any("error", err))
		}
		inv.Ended() // before the caller, who may ask for the next then
		ended <- ending{record, err}
	})
	return ended, nil
}

// tally counts what a composition and those within it have run so far.
type tally struct{ components, conductions, depth int }

// composition is a chain of activations that is running.
type composition struct {
	controller *Controller
	invocation invoker.Invocation
	tally      *tally

	activations []string // so far, which are its logs
	duration    int64    // of all of them, in milliseconds
	memoryMB    int      // the most that one of them may use
}

// compose runs a composition and stores its record, if there is to be one.
func (p composer) compose(ctx context.Context, inv invoker.Invocation, t *tally) (*whisk.Activation, error) {
	run := &composition{controller: p.controller, invocation: inv, tally: t, activations: []string{}}
	began := time.Now()
	t.depth++
	response := run.through(ctx, p.run)
	t.depth--
	record := run.record(response, began)
	if inv.Unrecorded {
		return record, nil
	}
	if err := p.controller.config.Store.Append(context.WithoutCancel(ctx), record); err != nil {
		return nil, fmt.Errorf("store activation record: %w", err)
	}
	return record, nil
}

// through runs the composition; what it panics with is its end alone.
func (s *composition) through(ctx context.Context, run func(*composition, context.Context) whisk.Response) (response whisk.Response) {
	defer func() {
		if v := recover(); v != nil {
			s.controller.config.Logger.Error("composition panicked", slog.Any("panic", v))
			response = failed(whisk.InternalError, textInternal)
		}
	}()
	return run(s, ctx)
}

// record is the record of the composition, whose parts have records of their own.
func (s *composition) record(response whisk.Response, began time.Time) *whisk.Activation {
	inv := &s.invocation
	response.Size = len(response.Result)
	return &whisk.Activation{
		Namespace:   inv.Namespace,
		Name:        inv.Action.Name,
		Version:     inv.Action.Version,
		Subject:     inv.Subject,
		ID:          inv.ID,
		Cause:       inv.Cause,
		Start:       whisk.At(began),
		End:         whisk.At(time.Now()),
		Duration:    &s.duration,
		Response:    response,
		Logs:        s.activations,
		Annotations: annotations(inv, s.memoryMB).With("waitTime", max(began.Sub(inv.Received).Milliseconds(), 0)),
	}
}

// annotations are those of a composition that can be told before it ends.
func annotations(inv *invoker.Invocation, memoryMB int) whisk.Parameters {
	limits := inv.Action.Limits
	if memoryMB > 0 {
		limits.MemoryMB = memoryMB
	}
	a := whisk.Parameters(nil).
		With("topmost", inv.Cause == "").
		With("path", inv.Action.FullName().ID()).
		With("kind", whisk.KindSequence).
		With("limits", limits)
	if inv.Action.Exec.Kind != whisk.KindSequence {
		a = a.With("conductor", true)
	}
	if inv.CausedBy != "" {
		a = a.With("causedBy", inv.CausedBy)
	}
	if inv.Binding != "" {
		a = a.With("binding", inv.Binding)
	}
	return a
}

// part is the invocation of an action by the composition. What an action has
// settled may be given to it here: nobody asks for it by hand.
func (s *composition) part(ctx context.Context, name whisk.FullyQualifiedName, payload []byte) (invoker.Invocation, error) {
	found, err := s.controller.invocable(ctx, s.caller(), name)
	if err != nil {
		return invoker.Invocation{}, err
	}
	return found.invocation(s.caller(), payload)
}

// component runs an action, or what is itself composed, as a part.
func (s *composition) component(ctx context.Context, inv invoker.Invocation, textLate string) whisk.Response {
	inv.Cause, inv.CausedBy, inv.Transaction = s.invocation.ID, causedBySequence, s.invocation.Transaction
	inv.Unrecorded = s.invocation.Unrecorded
	record, err := s.invoke(ctx, inv)
	return s.settle(inv.ID, record, err, textLate)
}

// settle counts the end of a part, and gives what came of it.
func (s *composition) settle(id whisk.ActivationID, record *whisk.Activation, err error, textLate string) whisk.Response {
	switch {
	case errors.Is(err, invoker.ErrUnfinished):
		s.activations = append(s.activations, string(id))
		return failed(whisk.InternalError, fmt.Sprintf(textLate, id))
	case err != nil:
		return failed(whisk.InternalError, refusalOf(err).message)
	}
	s.activations = append(s.activations, string(record.ID))
	if record.Duration != nil {
		s.duration += *record.Duration
	}
	s.memoryMB = max(s.memoryMB, memoryOf(record))
	return record.Response
}

func (s *composition) invoke(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error) {
	if p, composed := s.controller.runnerOf(inv.Action).(composer); composed {
		return p.compose(ctx, inv, s.tally)
	}
	return s.simple(ctx, inv)
}

// simple runs an action that is not composed, or a conductor for its own sake.
func (s *composition) simple(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error) {
	ctx, cancel := context.WithTimeout(ctx, inv.Action.Limits.Timeout+patience)
	defer cancel()
	return s.controller.config.Invoker.Invoke(ctx, inv)
}

// memoryOf is the memory limit that a record tells.
func memoryOf(record *whisk.Activation) int {
	var limits whisk.ActionLimits
	if value, ok := record.Annotations.Get("limits"); !ok || json.Unmarshal(value, &limits) != nil {
		return 0
	}
	return limits.MemoryMB
}

// caller is on whose behalf the composition runs.
func (s *composition) caller() caller {
	key, _ := whisk.ParseKey(s.invocation.APIKey)
	return caller{&whisk.Identity{Subject: s.invocation.Subject, Namespace: s.invocation.Namespace, UUID: key.UUID}, key}
}

// failed is the response of what ended with a message.
func failed(status whisk.Status, message string) whisk.Response {
	return whisk.Response{Status: status, Result: errorResult(message)}
}

func errorResult(message string) json.RawMessage {
	result, _ := whisk.Encode(map[string]string{"error": message}) // has a JSON form
	return result
}

// hasError tells a result that ends a sequence.
func hasError(result json.RawMessage) bool {
	if !bytes.Contains(result, []byte(`"error"`)) {
		return false
	}
	var object map[string]json.RawMessage
	_ = json.Unmarshal(result, &object) // what is no object has no error
	_, has := object["error"]
	return has
}
