package sandbox

import (
	"context"
	"errors"
)

// errReady ends a command that has come to where it reads its input.
var errReady = errors.New("the command is ready for its input")

var errNotReady = errors.New("the command ends before it is ready for its input")

// serve brings a command of an SDK to where it can be asked through the exports
// of a reactor. It says itself that it is there, and is then within a call of the
// host; Go, for one, lets a host call exports from within such a call. So the
// state of that moment is one to start from, as that of a reactor after its
// start-up: memory and globals are all of it, since the call is never returned
// from.
func (s *start) serve(ctx context.Context, guest *guest) (renewed []string, err error) {
	if _, err := guest.Call(ctx, "_start"); err == nil {
		return nil, errNotReady
	} else if !errors.Is(err, errReady) {
		return nil, err
	}
	renewed, err = warmedUp(ctx, guest)
	return append(renewed, "fd_read"), err // by which it said that it is there
}
