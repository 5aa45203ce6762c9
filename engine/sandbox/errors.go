package sandbox

import (
	"context"
	"errors"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// StatusOf says whose doing an error is, nobody's if it is nil. What nobody else
// can answer for is ours.
func StatusOf(err error) Status {
	switch {
	case err == nil:
		return Success
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, engine.ErrNoExport), isGuests(err):
		return DeveloperError
	}
	return WhiskError
}

// isGuests tells whether err is one of the kinds by which a guest fails.
func isGuests(err error) bool {
	return is[*engine.TrapError](err) || is[*engine.ExitError](err) || is[*engine.LimitError](err) ||
		is[*engine.BoundsError](err) || is[*engine.InvalidModuleError](err) || is[*abi.ProtocolError](err)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
