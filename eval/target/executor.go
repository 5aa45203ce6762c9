package target

import (
	"context"
	"maps"
)

// Executor is an executor of this project as a target, in a process and with a
// state directory of its own.
type Executor struct {
	Label   string   // its name as a target
	About   string   // and what it is
	Program string   // the binary
	Flags   []string // of serve, besides addresses and the state directory
	Builder *Builder

	// Anew has each activation start its guest from the beginning, without a
	// snapshot.
	Anew bool

	executor
}

// Name is the label.
func (e *Executor) Name() string { return e.Label }

// Description tells what it is.
func (e *Executor) Description() string { return e.About }

// Protocol is [Runtime].
func (e *Executor) Protocol() Protocol { return Runtime }

// Start starts the process on an empty state directory.
func (e *Executor) Start(ctx context.Context) error {
	return e.start(ctx, e.Label, e.Program, append([]string{"--api-addr", "off", "--runtime-addr", "127.0.0.1:0"}, e.Flags...)...)
}

// Action gives an action a container of its name.
func (e *Executor) Action(ctx context.Context, a Action) (*Deployed, error) {
	asked := map[string]any{}
	if e.Anew {
		asked["snapshot"] = false
	}
	maps.Copy(asked, annotations(a.Program))
	return e.Builder.deploy(ctx, Wasm, a, e.url, asked)
}

// Remove destroys the container.
func (e *Executor) Remove(ctx context.Context, d *Deployed) error {
	return ask(ctx, destroy(e.url, d.Action))
}
