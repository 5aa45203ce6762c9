// Package sandbox runs one activation of an action, confined: bounded in time,
// memory, logs and result, with no capability but those it was granted.
//
// A [Program] is what all sandboxes of one module share, a [Template] what those
// of one container do: the policy and the guest contract. Every activation gets
// a sandbox that is as new: from nothing, from a snapshot taken after the guest's
// start-up, or an instance that was put back to one; a command that is forked goes
// on within a call, from where it reads its input. None sees what another left behind. Both fronts, the runtime protocol and the REST API, end in
// [Template.Run].
package sandbox

import (
	"encoding/json"
	"time"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// Policy confines the sandboxes of one container.
type Policy struct {
	// Contract is the guest contract; empty means: detect it by the exports.
	Contract     abi.Name
	Limits       Limits
	Capabilities Capabilities

	// Env is what every activation finds in its environment, as "KEY=value".
	Env []string

	// NoSnapshot has every sandbox go through the guest's whole start-up, for
	// actions whose start-up must not be shared between activations.
	NoSnapshot bool

	// Fork has a command started once, for nobody, and its activations go on from
	// where it first reads its input. Its author knows that until then it learns
	// nothing of an activation: neither input nor context are among its arguments and
	// in its environment. Where that is not possible each activation starts it.
	Fork bool

	// Store has the state after the guest's start-up kept for later processes; nil
	// keeps it in none but this.
	Store Store
}

// Limits bounds one sandbox. Zero fields mean the defaults.
type Limits struct {
	MemoryPages  uint32 // of 64 KiB; default 4096 (256 MiB)
	LogBytes     int    // of both streams together; default 10 MiB
	ResultBytes  int    // default 1 MiB
	PayloadBytes int    // of the input; default 1 MiB
}

// The defaults are OpenWhisk's.
const (
	DefaultMemoryPages  = 256 << 20 / 65536
	DefaultLogBytes     = 10 << 20
	DefaultResultBytes  = 1 << 20
	DefaultPayloadBytes = 1 << 20
)

// LogLines is how many lines may be in the log, whatever their length: an empty one
// takes memory, too.
func (l Limits) LogLines() int { return max(l.LogBytes/64, 10_000) }

// Capabilities are what a sandbox may touch. The zero value grants nothing.
type Capabilities struct {
	// Mounts are the directories that the guest finds open. Their roots stay
	// open for as long as the template is used.
	Mounts []wasi.Mount

	// HTTP sends the action's outbound requests; nil grants none. It is its
	// owner's, and used for as long as the template is.
	HTTP *host.Client
}

// Activation is one run of an action.
type Activation struct {
	// Input is a JSON object or array.
	Input json.RawMessage

	// Context is what the action learns about its activation.
	Context abi.Context

	// Deadline ends the activation; the zero time sets none.
	Deadline time.Time
}

// Outcome is how an activation ended. It always has its logs and timings.
type Outcome struct {
	Status Status

	// Result is the action's answer, a JSON object or array, when the status is
	// Success or ApplicationError.
	Result json.RawMessage

	// Err says why there is no result, when the status is DeveloperError or
	// WhiskError.
	Err error

	Logs    Logs
	Timings Timings

	// Provisional tells that it ran on a module that stood in for a better one,
	// see [engine.Provisional].
	Provisional bool
}

// Status classifies an outcome as OpenWhisk does, with its numbers.
type Status int

// The statuses say whose doing the outcome is: nobody's, the action's own
// word, a fault of the action, a fault of ours.
const (
	Success          Status = 0
	ApplicationError Status = 1
	DeveloperError   Status = 2
	WhiskError       Status = 3
)

// Timings says where the time of one activation went.
type Timings struct {
	Snapshot    time.Duration // starting the guest once for all and capturing it
	Instantiate time.Duration // memory, globals, start function, _initialize
	Run         time.Duration // the guest's work on the input
	Close       time.Duration
}

// Stream is where a guest wrote a line.
type Stream uint8

// The streams of a guest.
const (
	Stdout Stream = iota
	Stderr
)

func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}

// Line is one line that a guest wrote, without its end.
type Line struct {
	Time   time.Time
	Stream Stream
	Text   string
}

// Logs are the lines of one activation, in the order of their first bytes.
type Logs struct {
	Lines []Line
	// Truncated tells that the guest wrote more than its limit.
	Truncated bool
}
