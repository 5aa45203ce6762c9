// Package target starts and stops what is measured: executors with each engine
// and policy, the REST front, a process per request, an ActionLoop process, an
// action server in Node, a server that answers a constant, and whatever already
// listens at a URL.
package target

import (
	"context"
	"errors"

	"wasmwhisk/eval/load"
)

// ErrElsewhere means that a target's processes are not this program's.
var ErrElsewhere = errors.New("the target was not started here")

// ErrNoProgram means that a target cannot run a program.
var ErrNoProgram = errors.New("the target does not have this program")

// Protocol is what a target speaks.
type Protocol string

// What targets speak.
const (
	Runtime  Protocol = "runtime"  // POST /init and /run, OpenWhisk's runtime protocol
	REST     Protocol = "rest"     // OpenWhisk's REST API
	Constant Protocol = "constant" // the floor: any request, one answer
)

// Form is what an action's code is for a target.
type Form string

// The forms of code.
const (
	Wasm   Form = "wasm"   // a module, as file or zip
	Native Form = "native" // a native Go program
	Script Form = "script" // JavaScript for Node
)

// Target is something that runs actions. Its methods may be called by several
// goroutines, but for Start and Stop.
type Target interface {
	Name() string        // "wazero", "rest", "process per request": short, in tables and legends
	Description() string // one line: what it is, its version
	Protocol() Protocol

	// Start brings it up with nothing in it, ready to answer. An error of kind
	// [UnavailableError] means that this machine cannot have it.
	Start(ctx context.Context) error

	// Stop ends it and removes what it kept.
	Stop() error

	// Settle waits until it has nothing left to do, such as compiling code that
	// runs already: until its processes have used next to no processor time for a
	// while. A URL is given the while.
	Settle(ctx context.Context) error

	// Restart settles, ends the processes and starts them again on what they kept:
	// artefacts on disk stay. With [Runtime] the actions have to be made known
	// again. A URL is not restarted: [ErrElsewhere].
	Restart(ctx context.Context) error

	// Action makes an action known to it without running it, and gives the
	// operations that run it. [ErrNoProgram] means that the target has no such
	// program.
	Action(ctx context.Context, a Action) (*Deployed, error)

	// Remove makes the target forget an action, and free what it holds. That it
	// does not know the action is no error.
	Remove(ctx context.Context, d *Deployed) error

	// Resident is the resident memory of all its processes, in bytes, shared pages
	// counted once (Pss); [ErrElsewhere] for a URL.
	Resident(ctx context.Context) (int64, error)
}

// Action is an action to be measured.
type Action struct {
	Name    string // unique in its target
	Program string // one of the [Programs]: "hash", "block", …
	Size    Size   // of its code

	// Input is its event, a JSON object; empty means the program's ordinary one.
	Input string

	// Code sets its code apart by some bytes that change nothing: actions of one
	// program and size have the same code if their Code is the same.
	Code string
}

// Size is how large the code of an action is.
type Size string

// Sizes of code.
const (
	Small  Size = "small"  // by hand or C where the target can: kilobytes
	Medium Size = "medium" // C with its library, or the like
	Large  Size = "large"  // Go with encoding/json: megabytes
)

// Deployed is an action that a target knows.
type Deployed struct {
	Action Action

	// First is an activation of an action that may not have run before: it
	// prepares with /init for [Runtime], and is one blocking invocation for [REST].
	First load.Operation

	// Invoke is an activation of an action that has run before.
	Invoke load.Operation
}
