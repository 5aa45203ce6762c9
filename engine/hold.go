package engine

import (
	"context"
	"errors"
)

// ErrHold is what a host function gives to have a guest held in the call of it,
// see [Holder].
var ErrHold = errors.New("the guest is held")

// ErrNotHeld is in the chain of the error for an instance that cannot be held.
var ErrNotHeld = errors.New("the guest cannot be held")

// Holder is implemented by instances that can be held within a call, to go on
// from there again and again.
type Holder interface {
	Resetter

	// Hold calls an exported function of a new instance until a host function gives
	// [ErrHold]. From then on Call of that export goes on from there: the host
	// function is called once more, with the same arguments, in the new call's
	// context. Reset puts the instance back to there, once it has started from a
	// snapshot of that moment, see [Adopter]; it may do so a limited number of times.
	//
	// The error is [ErrNotHeld] if nothing gave ErrHold, or the engine cannot hold the
	// module there, and otherwise one of those of Call. The instance is spent then.
	Hold(ctx context.Context, export string) error
}
