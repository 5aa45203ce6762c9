package wazero

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"wasmwhisk/engine"
)

// validity is what becomes known of a binary while it is interpreted already.
// Whatever of it is run is validated before; the rest is here, as tasks for
// processors that have nothing else to do, and at last for whoever has to know.
type validity struct {
	tasks   []func() error
	next    atomic.Int32
	undone  sync.WaitGroup
	invalid atomic.Bool
	why     func() error
}

// validate has the rest of a binary validated, of which the rewriter has seen that it
// is safe to do so.
func (r *Runtime) validate(binary []byte, p *parts) *validity {
	whole := sync.OnceValue(func() error { return r.invalid(func() []byte { return binary }) })
	v := &validity{why: whole, tasks: []func() error{whole}}
	if p != nil {
		v.tasks = p.tasks(r.invalid)
	}
	v.undone.Add(len(v.tasks))
	for range min(runtime.GOMAXPROCS(0)-1, len(v.tasks)) {
		go v.work()
	}
	return v
}

func (v *validity) work() {
	for v.doOne() {
	}
}

// doOne does a task, if any is left.
func (v *validity) doOne() bool {
	i := int(v.next.Add(1)) - 1
	if i >= len(v.tasks) {
		return false
	}
	defer v.undone.Done()
	if v.tasks[i]() != nil {
		v.invalid.Store(true)
	}
	return true
}

// invalid has a runtime that compiles decode and validate a binary.
func (r *Runtime) invalid(binary func() []byte) (err error) {
	defer recovered("validate", &err)
	ctx := context.Background()
	compiled, err := r.runtime.CompileModule(neverCompile(ctx), binary())
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
	if v == nil || !v.invalid.Load() {
		return nil
	}
	return v.why()
}

// wait tells what is wrong; without anything to wait for that is nothing.
func (v *validity) wait() error {
	if v == nil {
		return nil
	}
	v.work()
	v.undone.Wait()
	return v.known()
}
