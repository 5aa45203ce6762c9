package wazero

import (
	"context"
	"errors"

	"wasmwhisk/engine"
)

// validity is what becomes known of a binary while it is interpreted already.
// Whatever of it is run is validated before; the rest is here.
type validity struct {
	done chan struct{}
	err  error // once done
}

// validate has a runtime that compiles decode and validate a binary, of which the
// rewriter has seen that it is safe to do so.
func (r *Runtime) validate(ctx context.Context, binary []byte) *validity {
	v := &validity{done: make(chan struct{})}
	go func() {
		defer close(v.done)
		v.err = r.invalid(ctx, binary)
	}()
	return v
}

func (r *Runtime) invalid(ctx context.Context, binary []byte) (err error) {
	defer recovered("validate", &err)
	compiled, err := r.runtime.CompileModule(neverCompile(ctx), binary)
	switch {
	case err == nil: // there was nothing to compile
		return compiled.Close(ctx)
	case errors.Is(err, errNoCode) || errors.Is(err, context.Canceled):
		return nil
	}
	return &engine.InvalidModuleError{Err: err}
}

// known tells what is wrong, as far as that is known.
func (v *validity) known() error {
	if v == nil {
		return nil
	}
	select {
	case <-v.done:
		return v.err
	default:
		return nil
	}
}

// wait tells what is wrong; without anything to wait for that is nothing.
func (v *validity) wait() error {
	if v == nil {
		return nil
	}
	<-v.done
	return v.err
}
