//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"errors"

	"wasmwhisk/engine"
)

// ending says why the guest has stopped, in the contract's words.
func (i *instance) ending() error {
	switch {
	case i.stopped != nil:
		return i.stopped
	case i.c.failure == C.WW_OK:
		return nil
	case i.c.failure == C.WW_TRAP:
		return engine.NewTrapError(trapKind(i.c.code), C.GoString(i.c.text))
	}
	return &engineError{errors.New(C.GoString(i.c.text))}
}

// engineError is a failure that is none of the running guest.
type engineError struct{ err error }

func (e *engineError) Error() string { return e.err.Error() }
func (e *engineError) Unwrap() error { return e.err }

// trapKind translates the codes of wasmtime/trap.h.
func trapKind(code C.wasmtime_trap_code_t) engine.TrapKind {
	switch code {
	case 0:
		return engine.TrapStackOverflow
	case 1:
		return engine.TrapMemoryOutOfBounds
	case 3, 4:
		return engine.TrapTableAccess
	case 5:
		return engine.TrapIndirectCallType
	case 6:
		return engine.TrapIntegerOverflow
	case 7:
		return engine.TrapDivideByZero
	case 8:
		return engine.TrapBadConversion
	case 9:
		return engine.TrapUnreachable
	}
	return engine.TrapOther
}
