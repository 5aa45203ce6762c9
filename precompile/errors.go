package precompile

import (
	"errors"
	"fmt"
)

// ErrNoCode means that there was nothing to take in.
var ErrNoCode = errors.New("no code")

// Fault classifies what is wrong with an upload.
type Fault string

// The faults of uploads.
const (
	FaultEncoding Fault = "encoding" // neither base64 nor an upload by itself
	FaultSize     Fault = "size"     // past one of the limits
	FaultArchive  Fault = "archive"  // corrupt, hostile, or without a module
	FaultManifest Fault = "manifest" // manifest.json
	FaultModule   Fault = "module"   // something else where a module should be
)

// IntakeError reports an upload that is refused.
type IntakeError struct {
	Fault Fault
	// Message tells the developer of the action what is wrong and, where there
	// is one, the way out.
	Message string
}

func (e *IntakeError) Error() string { return e.Message }

func refuse(fault Fault, format string, args ...any) *IntakeError {
	return &IntakeError{Fault: fault, Message: fmt.Sprintf(format, args...)}
}

func tooLarge(what string, size, limit int64) *IntakeError {
	return refuse(FaultSize, "%s of %d bytes exceeds the limit of %d bytes", what, size, limit)
}
