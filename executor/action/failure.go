package action

import (
	"context"
	"errors"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// Failure is what the developer of an action reads when it could not be made;
// limit is the time that was given.
func Failure(err error, limit time.Duration) error {
	if _, ok := errors.AsType[*whisk.Error](err); ok {
		return err
	}
	if errors.Is(err, precompile.ErrNoCode) {
		return &whisk.Error{Kind: whisk.Forbidden, Message: whisk.TextNoCode}
	}
	if refused, ok := errors.AsType[*precompile.IntakeError](err); ok {
		return refusedUpload(refused)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &whisk.Error{Kind: whisk.ActionFault, Message: whisk.TextInitTimedOut(limit)}
	}
	if sandbox.StatusOf(err) == sandbox.DeveloperError {
		return whisk.Errorf(whisk.ActionFault, "cannot start action: %v", err)
	}
	return err
}

func refusedUpload(err *precompile.IntakeError) error {
	switch err.Fault {
	case precompile.FaultEncoding:
		return whisk.Errorf(whisk.BadRequest, "cannot decode the request: %s", err.Message)
	case precompile.FaultSize:
		return &whisk.Error{Kind: whisk.TooLarge, Message: err.Message}
	}
	return whisk.Errorf(whisk.ActionFault, "cannot start action: %s", err.Message)
}

// RunFailure is what the caller reads when an activation gave no result; limit is
// the time that was given. The sentences are OpenWhisk's; what follows them is
// the reason that we know.
func RunFailure(err error, limit time.Duration) error {
	if err == nil {
		return nil
	}
	fault := func(message string) error { return &whisk.Error{Kind: whisk.ActionFault, Message: message} }
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault(whisk.TextTimedOut(limit))
	case errors.Is(err, abi.ErrNotDictionary):
		return fault(whisk.TextNotAnObject)
	}
	if past, ok := errors.AsType[*engine.LimitError](err); ok {
		return fault(pastLimit(past))
	}
	if sandbox.StatusOf(err) == sandbox.DeveloperError {
		return fault(whisk.TextAbnormalRun + " (" + err.Error() + ")")
	}
	return err
}

func pastLimit(err *engine.LimitError) string {
	switch err.What {
	case "result":
		return whisk.TextResultTooLarge(err.Wanted, err.Limit)
	case "memory":
		return whisk.TextMemoryExhausted
	}
	return whisk.TextAbnormalRun + " (" + err.Error() + ")"
}
