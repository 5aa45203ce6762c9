//go:build race

package guesttest

import "wasmwhisk/internal/guest"

// Modes is documented where there is no race detector.
func Modes() []guest.Mode { return []guest.Mode{guest.Reactor} }
