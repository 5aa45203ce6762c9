package action

import (
	"context"
	"errors"
	"time"

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
