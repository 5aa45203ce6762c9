package target

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// own is a process of this project's program.
type own struct{ *server }

// serve starts the process, which is called "executor", whatever the file. If it
// does not come up, what there was before stays.
func (o *own) serve(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	cmd.Args[0] = "executor"
	s, err := startServer(ctx, cmd)
	if err != nil {
		return err
	}
	o.server = s
	return nil
}

// Stop ends the process.
func (o *own) Stop() error { return o.stop() }

// executor is a process of this project that serves, with a state directory that
// outlives it.
type executor struct {
	own

	program string
	flags   []string
	state   string
}

// start starts the process on an empty state directory.
func (e *executor) start(ctx context.Context, label, program string, flags ...string) (err error) {
	if e.state, err = os.MkdirTemp("", "wasmwhisk-eval-"); err != nil {
		return err
	}
	e.program = program
	e.flags = append([]string{"serve", "--state-dir", e.state, "--log-level", "warn"}, flags...)
	if err := e.serve(ctx, e.program, e.flags...); err != nil {
		return &UnavailableError{Target: label, Err: errors.Join(err, os.RemoveAll(e.state))}
	}
	return nil
}

// Stop ends the process and removes its state.
func (e *executor) Stop() error { return errors.Join(e.stop(), os.RemoveAll(e.state)) }

// Restart keeps the state.
func (e *executor) Restart(ctx context.Context) error {
	if err := e.Settle(ctx); err != nil {
		return err
	}
	return errors.Join(e.stop(), e.serve(ctx, e.program, e.flags...))
}
