package wazero

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"wasmwhisk/engine"
)

// classify says why a guest stopped, in the contract's words.
func (c *callContext) classify(err error) error {
	if c.call.stopped != nil {
		return c.call.stopped
	}
	if _, ok := errors.AsType[*sys.ExitError](err); ok && c.Err() != nil {
		return context.Cause(c)
	}
	if bug, ok := errors.AsType[runtime.Error](err); ok {
		return fmt.Errorf("host function panicked: %w", bug)
	}
	if kind, ok := trapKind(err); ok {
		return engine.NewTrapError(kind, stackTrace(err))
	}
	return &linkError{err: err}
}

// linkError is a failure that is none of the running guest: a module whose
// imports are not there, or whose segments do not fit.
type linkError struct{ err error }

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

func isLinkError(err error) bool {
	_, ok := errors.AsType[*linkError](err)
	return ok
}

// trapKind finds the cause at the bottom of err. wazero does not export its
// trap errors, so their texts, which are part of its observable behaviour, are
// all there is; the suite pins them.
func trapKind(err error) (engine.TrapKind, bool) {
	trapped := strings.Contains(err.Error(), "wasm error: ")
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	switch err.Error() {
	case "unreachable":
		return engine.TrapUnreachable, true
	case "out of bounds memory access":
		return engine.TrapMemoryOutOfBounds, true
	case "invalid table access":
		return engine.TrapTableAccess, true
	case "indirect call type mismatch":
		return engine.TrapIndirectCallType, true
	case "integer divide by zero":
		return engine.TrapDivideByZero, true
	case "integer overflow":
		return engine.TrapIntegerOverflow, true
	case "invalid conversion to integer":
		return engine.TrapBadConversion, true
	case "stack overflow":
		return engine.TrapStackOverflow, true
	}
	return engine.TrapOther, trapped
}

// stackTrace is the part of wazero's text that shows the guest's stack.
func stackTrace(err error) string {
	_, trace, _ := strings.Cut(err.Error(), "wasm stack trace:\n")
	return trace
}
