package controller

import (
	"context"
	"errors"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// sequence runs the components of a sequence one after the other, each on the
// result of the one before, until one gives an error.
func (s *composition) sequence(ctx context.Context) whisk.Response {
	response := whisk.Response{Result: s.invocation.Arguments}
	if s.tally.depth > maxDepth {
		return failed(whisk.ApplicationError, textTooManyComponents)
	}
	for _, name := range s.invocation.Action.Exec.Components {
		response = s.next(ctx, name, response)
		if response.Status != whisk.Success || hasError(response.Result) {
			break
		}
	}
	return response
}

// next runs one component on what the one before gave.
func (s *composition) next(ctx context.Context, name whisk.FullyQualifiedName, before whisk.Response) whisk.Response {
	inv, err := s.part(ctx, name, before.Result)
	if err != nil {
		return unresolved(err)
	}
	if inv.Action.Exec.Kind != whisk.KindSequence {
		if s.tally.components++; s.tally.components > maxComponents {
			return failed(whisk.ApplicationError, textTooManyComponents)
		}
	}
	return s.component(ctx, inv, textComponentLate)
}

// unresolved is the response of a component that cannot be invoked.
func unresolved(err error) whisk.Response {
	switch answer := refusalOf(err); {
	case isMissing(err):
		return failed(whisk.ApplicationError, textNoComponent)
	case answer.status >= 500:
		return failed(whisk.InternalError, answer.message)
	default:
		return failed(whisk.ApplicationError, answer.message)
	}
}

func isMissing(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrOtherKind)
}

// checkSequence wants a sequence to be finite, and made of what is there.
func checkSequence(ctx context.Context, tx store.Entities, who *whisk.Identity, a *whisk.Action) error {
	if len(a.Exec.Components) == 0 {
		return whisk.Errorf(whisk.BadRequest, "No component specified for the sequence.")
	}
	check := sequenceCheck{tx: tx, who: who, self: a.FullName()}
	return check.components(ctx, a)
}

// sequenceCheck walks the sequences within a sequence. It ends, since all but the
// one that is checked are without circles.
type sequenceCheck struct {
	tx   store.Entities
	who  *whisk.Identity
	self whisk.FullyQualifiedName

	actions, depth int
}

func (c *sequenceCheck) components(ctx context.Context, a *whisk.Action) error {
	if c.depth++; c.depth > maxDepth {
		return whisk.Errorf(whisk.BadRequest, textTooManyComponents)
	}
	defer func() { c.depth-- }()
	for _, name := range a.Exec.Components {
		if err := c.component(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *sequenceCheck) component(ctx context.Context, name whisk.FullyQualifiedName) error {
	if name == c.self {
		return errCircular()
	}
	found, err := findAction(ctx, c.tx, c.who, name)
	switch {
	case err != nil && isMissing(err):
		return whisk.Errorf(whisk.BadRequest, textNoComponent)
	case err != nil:
		return err
	case found.action.FullName() == c.self: // by the name of a binding
		return errCircular()
	case found.action.Exec.Kind == whisk.KindSequence:
		return c.components(ctx, found.action)
	}
	if c.actions++; c.actions > maxComponents {
		return whisk.Errorf(whisk.BadRequest, textTooManyComponents)
	}
	return nil
}

func errCircular() error {
	return whisk.Errorf(whisk.BadRequest, "Sequence may not refer to itself.")
}
