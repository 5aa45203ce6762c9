// Package action makes uploaded code ready to run: it takes the code in, gets
// its module from the pool, grants what the action asks for as far as the
// operator allows that, and tries whether it starts.
//
// Both ways to an activation begin here, the runtime protocol's /init and the
// standalone invoker.
package action

import (
	"context"
	"time"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
)

// Request is code, and what is to be known about it.
type Request struct {
	// Code is the upload's text: base64 of a binary or of an archive.
	Code string

	// Namespace is whose action it is; empty means that this is not known, and
	// that what belongs to a namespace belongs to ID alone.
	Namespace string
	ID        string

	// Env is the action's own environment, as "KEY=value".
	Env []string

	Wishes Wishes
	Limits sandbox.Limits
}

// Action is code that is ready to run. It is safe for concurrent use.
type Action struct {
	runner  runner
	module  *pool.Ref      // nil if there are workers
	workers *worker.Runner // nil if activations run in this process
	granted sandbox.Capabilities
}

// runner is a template of sandboxes in this process, or processes that have it.
type runner interface {
	Contract() abi.Name
	Probe(ctx context.Context) sandbox.Outcome
	Run(ctx context.Context, activation sandbox.Activation) sandbox.Outcome
}

// Contract is the guest contract that the action follows.
func (a *Action) Contract() abi.Name { return a.runner.Contract() }

// Run is [sandbox.Template.Run].
func (a *Action) Run(ctx context.Context, activation sandbox.Activation) sandbox.Outcome {
	return a.runner.Run(ctx, activation)
}

// Close frees what the action holds. Nothing may run on it any more.
func (a *Action) Close() {
	revoke(a.granted)
	if a.module != nil {
		a.module.Release()
	}
	if a.workers != nil {
		a.workers.Close()
	}
}

// Source tells how the module of an action was had.
type Source int

// The sources, dearest first. The zero value means that there is no module.
const (
	_ Source = iota
	Compiled
	Loaded      // from an artefact
	Pooled      // somebody had it in memory, or was making it
	Interpreted // until it is compiled
)

// Trial is what was seen while an action was made, even if that failed.
type Trial struct {
	Logs sandbox.Logs

	Intake      time.Duration // 0 if it did not come to that, as all that follow
	Module      time.Duration
	Source      Source
	Snapshot    time.Duration
	Instantiate time.Duration
}

// try tells whether the action starts.
func (a *Action) try(ctx context.Context, trial *Trial) error {
	probed := a.runner.Probe(ctx)
	trial.Logs = probed.Logs
	trial.Snapshot, trial.Instantiate = probed.Timings.Snapshot, probed.Timings.Instantiate
	return probed.Err
}

func since(start time.Time, took *time.Duration) { *took = time.Since(start) }
