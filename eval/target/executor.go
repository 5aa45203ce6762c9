package target

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"

	"wasmwhisk/eval/load"
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

	state string
	*server
}

// Name is the label.
func (e *Executor) Name() string { return e.Label }

// Description tells what it is.
func (e *Executor) Description() string { return e.About }

// Protocol is [Runtime].
func (e *Executor) Protocol() Protocol { return Runtime }

// Start starts the process on an empty state directory.
func (e *Executor) Start(ctx context.Context) (err error) {
	if e.state, err = os.MkdirTemp("", "wasmwhisk-eval-"); err != nil {
		return err
	}
	if err := e.serve(ctx); err != nil {
		return &UnavailableError{Target: e.Label, Err: errors.Join(err, os.RemoveAll(e.state))}
	}
	return nil
}

func (e *Executor) serve(ctx context.Context) (err error) {
	flags := append([]string{"serve", "--api-addr", "off", "--runtime-addr", "127.0.0.1:0", "--state-dir", e.state, "--log-level", "warn"}, e.Flags...)
	e.server, err = startOwn(ctx, e.Program, flags...)
	return err
}

// Stop ends the process and removes its state.
func (e *Executor) Stop() error { return errors.Join(e.stop(), os.RemoveAll(e.state)) }

// Restart keeps the state.
func (e *Executor) Restart(ctx context.Context) error {
	if err := e.Settle(ctx); err != nil {
		return err
	}
	return errors.Join(e.stop(), e.serve(ctx))
}

// Action gives an action a container of its name.
func (e *Executor) Action(ctx context.Context, a Action) (*Deployed, error) {
	code, err := e.Builder.code(ctx, Wasm, a)
	if err != nil {
		return nil, err
	}
	granted := maps.Clone(annotations(a.Program))
	if e.Anew {
		granted = map[string]any{"snapshot": false}
		maps.Copy(granted, annotations(a.Program))
	}
	body, err := initBody(a, Wasm, code, granted)
	if err != nil {
		return nil, err
	}
	return runtimeAction(a, e.url+"/"+a.Name, body), nil
}

// Remove destroys the container.
func (e *Executor) Remove(ctx context.Context, d *Deployed) error {
	return ask(ctx, load.Request{Method: http.MethodPost, URL: e.url + "/" + d.Action.Name + "/destroy"})
}
