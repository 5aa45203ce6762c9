package engine

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoExport means that the module lacks the function that was called.
var ErrNoExport = errors.New("no such exported function")

// InvalidModuleError reports a binary that this engine cannot accept.
type InvalidModuleError struct{ Err error }

func (e *InvalidModuleError) Error() string { return "invalid module: " + e.Err.Error() }
func (e *InvalidModuleError) Unwrap() error { return e.Err }

// TrapKind says why a guest stopped abnormally.
type TrapKind string

// The kinds of trap that the core specification knows, and TrapOther for what
// an engine cannot tell apart.
const (
	TrapUnreachable       TrapKind = "unreachable"
	TrapMemoryOutOfBounds TrapKind = "out of bounds memory access"
	TrapTableAccess       TrapKind = "invalid table access" // out of bounds, or a null element called
	TrapIndirectCallType  TrapKind = "indirect call type mismatch"
	TrapDivideByZero      TrapKind = "integer divide by zero"
	TrapIntegerOverflow   TrapKind = "integer overflow"
	TrapBadConversion     TrapKind = "invalid conversion to integer"
	TrapStackOverflow     TrapKind = "call stack exhausted"
	TrapOther             TrapKind = "trap"

	// TrapCrash is the end of the whole process that a guest was alone in.
	TrapCrash TrapKind = "the worker process crashed"
)

// TrapError reports that the guest stopped abnormally.
type TrapError struct {
	Kind TrapKind
	// Detail is the engine's own account, often with a guest stack trace; it
	// may be empty.
	Detail string
}

// maxDetail bounds the account of a trap, of which a guest writes some: the names of
// its functions.
const maxDetail = 4 << 10

// NewTrapError keeps the beginning of a long account.
func NewTrapError(kind TrapKind, detail string) *TrapError {
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(strings.Clone(detail[:maxDetail]), "")
	}
	return &TrapError{Kind: kind, Detail: detail}
}

func (e *TrapError) Error() string { return "trap: " + string(e.Kind) }

// ExitError reports that the guest ended itself through proc_exit. A code of 0
// is a normal end.
type ExitError struct{ Code uint32 }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// LimitError reports a bound that a guest would have passed.
type LimitError struct {
	What  string // "memory", "table", "result", …
	Unit  string // "bytes", "pages", "elements"
	Limit uint64
	// Wanted is how much was asked for; 0 if it was not known.
	Wanted uint64
}

func (e *LimitError) Error() string {
	if e.Wanted == 0 {
		return fmt.Sprintf("%s exceeds the limit of %d %s", e.What, e.Limit, e.Unit)
	}
	return fmt.Sprintf("%s of %d %s exceeds the limit of %d %s", e.What, e.Wanted, e.Unit, e.Limit, e.Unit)
}
