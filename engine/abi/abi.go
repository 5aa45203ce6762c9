// Package abi holds the guest contracts: how an action written as a WebAssembly
// module takes its input and gives its result. A contract is found by a
// module's exports; see [Detect].
package abi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"wasmwhisk/engine"
)

// Name names a guest contract, as in a manifest's or an annotation's "abi".
type Name string

// The guest contracts.
const (
	Reactor    Name = "reactor"    // ow_alloc and ow_run, as our SDKs build
	Command    Name = "command"    // _start, stdin to stdout
	ActionLoop Name = "actionloop" // _start, a line on stdin to a line on fd 3
	Wow        Name = "wow"        // the buffer of ow-wasm-action
	SetInput   Name = "set_input"  // the memory contract of OW_wasm_executor
)

// Context is what an action learns about its activation: the fields of a run
// request other than its value, such as "activation_id" and "deadline", in the
// protocol's spelling. The environment spells them __OW_ACTIVATION_ID and so on.
type Context []Field

// Field is one entry of a [Context]. A value that is not text is its JSON.
type Field struct{ Name, Value string }

// Env spells the context as environment entries, "__OW_ACTIVATION_ID=…".
func (c Context) Env() []string {
	env := make([]string, len(c))
	for i, f := range c {
		env[i] = "__OW_" + strings.ToUpper(f.Name) + "=" + f.Value
	}
	return env
}

// Input is what an activation gives to a guest.
type Input struct {
	Value   json.RawMessage // an object or array
	Context Context

	// MaxResult bounds the result in bytes.
	MaxResult int
}

// Feed is what a guest finds when it starts.
type Feed struct {
	Args  []string
	Stdin []byte

	// FD3 tells that descriptor 3 takes the result. Otherwise it must not be
	// there: C programs look for their directories from 3 on and stop at the
	// first descriptor that is none.
	FD3 bool
}

// Captured is what a guest wrote while it ran.
type Captured interface {
	// TakeLastLine takes the last non-empty line of stdout out of the logs. The
	// error is an [engine.LimitError] if it is longer than a result may be.
	TakeLastLine() ([]byte, error)

	// FD3 is all that was written to file descriptor 3, with the same bound.
	FD3() ([]byte, error)
}

// Contract passes input to guests of one kind and takes their results. It is
// safe for concurrent use.
type Contract interface {
	Name() Name

	// Feed prepares the guest's arguments and standard input.
	Feed(in Input) Feed

	// Initialize does what a guest needs once, before any input.
	Initialize(ctx context.Context, guest engine.Instance) error

	// Invoke runs an initialised guest on the input and gives its answer, an
	// object or array. The error is a [ProtocolError] if the guest broke the
	// contract, an [engine.LimitError] if the result is too long, and otherwise
	// one of those of engine.Instance.Call.
	Invoke(ctx context.Context, guest engine.Instance, in Input, out Captured) (json.RawMessage, error)
}

// ErrNotDictionary is in the chain of the error for a result that is neither a
// JSON object nor an array.
var ErrNotDictionary = errors.New("the action did not return a dictionary or array")

// ProtocolError reports a guest that broke its contract.
type ProtocolError struct {
	Contract Name
	Err      error
}

func (e *ProtocolError) Error() string { return string(e.Contract) + " contract: " + e.Err.Error() }
func (e *ProtocolError) Unwrap() error { return e.Err }
