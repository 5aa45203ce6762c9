//go:build !race

package guesttest

import "wasmwhisk/internal/guest"

// Modes lists the forms to test a Go guest in. Under the race detector, which
// sees nothing of what a guest does and slows engines down tenfold, there is
// but one.
func Modes() []guest.Mode { return []guest.Mode{guest.Reactor, guest.Command} }
