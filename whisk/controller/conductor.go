package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/invoker"
)

const (
	textCompositionTooLong = "Too many actions in the composition."
	textStepInvalid        = "Failed to parse action name from json value %s during composition."
	textStepNotFound       = "Failed to resolve action with name '%s' during composition."
	textStepNotAccessible  = "Failed entitlement check for action with name '%s' during composition."
)

// step is what a conductor says is next.
type step struct {
	Action json.RawMessage `json:"action"`
	Params json.RawMessage `json:"params"`
	State  json.RawMessage `json:"state"`
}

// conduct asks the action what to do next, does that, and tells the action what
// came of it, until there is nothing more to do.
func (s *composition) conduct(ctx context.Context) whisk.Response {
	input := s.invocation.Arguments
	for {
		if s.tally.conductions++; s.tally.conductions > maxConductions {
			return failed(whisk.ApplicationError, textCompositionTooLong)
		}
		said := s.ask(ctx, input)
		var next step
		if said.Status != whisk.Success || json.Unmarshal(said.Result, &next) != nil {
			return said
		}
		if next.Action == nil {
			return conclusion(said, next)
		}
		result, ended := s.perform(ctx, next)
		if ended != nil {
			return *ended
		}
		input = joined(result, boxed("state", next.State))
	}
}

// ask runs the conductor itself.
func (s *composition) ask(ctx context.Context, input []byte) whisk.Response {
	inv := s.invocation
	inv.ID, inv.Arguments, inv.Received, inv.Ended = whisk.NewActivationID(), input, time.Now(), nil
	inv.Cause, inv.CausedBy = s.invocation.ID, causedBySequence
	record, err := s.simple(ctx, inv)
	return s.settle(inv.ID, record, err, textCompositionLate)
}

// conclusion is what the composition ends with.
func conclusion(said whisk.Response, last step) whisk.Response {
	if result := boxed("value", last.Params); result != nil {
		said.Result = result
	}
	return said
}

// perform runs the component that a conductor named. Its result may be an error,
// which the conductor is told; ended is set when it is told nothing more.
func (s *composition) perform(ctx context.Context, next step) (result json.RawMessage, ended *whisk.Response) {
	inv, err := s.resolve(ctx, next)
	if err != nil {
		return errorResult(refusalOf(err).message), nil
	}
	s.tally.components++
	response := s.component(ctx, inv, textCompositionLate)
	if response.Status == whisk.InternalError {
		return nil, &response
	}
	return response.Result, nil
}

// resolve finds what a conductor names.
func (s *composition) resolve(ctx context.Context, next step) (invoker.Invocation, error) {
	var text string
	if json.Unmarshal(next.Action, &text) != nil {
		return invoker.Invocation{}, whisk.Errorf(whisk.BadRequest, textStepInvalid, next.Action)
	}
	name, err := stepName(text, s.invocation.Namespace)
	if err != nil {
		return invoker.Invocation{}, whisk.Errorf(whisk.BadRequest, textStepInvalid, next.Action)
	}
	if s.tally.components >= maxComponents {
		return invoker.Invocation{}, whisk.Errorf(whisk.BadRequest, textCompositionTooLong)
	}
	if err := checkAccess(ctx, s.controller.config.Store, s.caller().Identity, name); err != nil {
		return invoker.Invocation{}, whisk.Errorf(whisk.Forbidden, textStepNotAccessible, name.ID())
	}
	inv, err := s.part(ctx, name, boxed("value", next.Params))
	if err != nil {
		err = whisk.Errorf(whisk.NotFound, textStepNotFound, name.ID())
	}
	return inv, err
}

// stepName reads the name of an action as conductors may write it: "/ns/a",
// "/ns/pkg/a", "ns/pkg/a", "pkg/a" or "a".
func stepName(text string, ns whisk.EntityName) (whisk.FullyQualifiedName, error) {
	if !strings.HasPrefix(text, "/") && strings.Count(text, "/") < 2 {
		text = fmt.Sprintf("%s/%s", ns, text)
	}
	name, err := whisk.ParseFullyQualifiedName(text)
	return name.Resolve(ns), err
}

// boxed is a value that is an object, or an object with the value as its only
// member; nothing for nothing.
func boxed(key string, value json.RawMessage) json.RawMessage {
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0:
		return nil
	case value[0] == '{':
		return value
	}
	box, _ := whisk.Encode(map[string]json.RawMessage{key: value}) // has a JSON form
	return box
}

// joined is a result with the members of a state over it.
func joined(result, state json.RawMessage) json.RawMessage {
	var parameters whisk.Parameters
	var object map[string]json.RawMessage
	if json.Unmarshal(result, &object) != nil {
		object = map[string]json.RawMessage{"value": result}
	}
	for key, value := range object {
		parameters = append(parameters, whisk.Parameter{Key: key, Value: value})
	}
	all, err := arguments(parameters, state)
	if err != nil {
		return result
	}
	return all
}
