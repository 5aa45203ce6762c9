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
// Whatever of it is run is validated before; what the rewriter is not sure of is
// here, for processors that have nothing else to do, and at last for whoever has to
// know. Before that come the parts that will soon be called.
type validity struct {
	ahead, unsure queue
	judged        sync.WaitGroup // once for each task of unsure
	workers       sync.WaitGroup
	invalid       atomic.Bool
	why           func() error
}

// queue is of tasks that are done once each, by whoever comes first.
type queue struct {
	tasks []func()
	next  atomic.Int32
}

// validate has what the rewriter is not sure of validated, as it was before it was
// rewritten. The rewriter has seen that this is safe.
func (r *Runtime) validate(binary []byte, c code) *validity {
	v := &validity{why: sync.OnceValue(func() error { return r.invalid(binary) })}
	if p := c.parts; p != nil {
		for _, part := range p.likely {
			v.ahead.tasks = append(v.ahead.tasks, func() { _, _ = part.code() })
		}
		for _, functions := range p.unsure() {
			v.judge(func() error { return r.invalid(p.source.Sample(functions)) })
		}
	} else if !c.Sound {
		v.judge(v.why)
	}
	for range min(runtime.GOMAXPROCS(0)-1, len(v.ahead.tasks)+len(v.unsure.tasks)) {
		v.workers.Go(func() {
			for v.doOne() {
			}
		})
	}
	return v
}

// judge adds a task that may find the binary invalid.
func (v *validity) judge(task func() error) {
	v.judged.Add(1)
	v.unsure.tasks = append(v.unsure.tasks, func() {
		defer v.judged.Done()
		if task() != nil {
			v.invalid.Store(true)
		}
	})
}

// doOne does a task, if any is left.
func (v *validity) doOne() bool { return v.ahead.doOne() || v.unsure.doOne() }

func (q *queue) doOne() bool {
	i := int(q.next.Add(1)) - 1
	if i >= len(q.tasks) {
		return false
	}
	q.tasks[i]()
	return true
}

// drop leaves undone what nobody has begun.
func (q *queue) drop() { q.next.Store(int32(len(q.tasks))) }

// invalid has a runtime that compiles decode and validate a binary.
func (r *Runtime) invalid(binary []byte) (err error) {
	defer recovered("validate", &err)
	ctx := context.Background()
	compiled, err := r.runtime.CompileModule(neverCompile(ctx), binary)
	switch {
	case err == nil: // there was nothing to compile
		return compiled.Close(ctx)
	case errors.Is(err, errNoCode) || errors.Is(err, context.Canceled):
		return nil
	}
	return &engine.InvalidModuleError{Err: err}
}

// validateUnsure has the engine validate a binary as it was before it was rewritten, if
// the rewriter is not sure of it.
func (r *Runtime) validateUnsure(binary []byte, c code) error {
	if c.Sound {
		return nil
	}
	return r.invalid(binary)
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
	for v.unsure.doOne() {
	}
	v.judged.Wait()
	return v.known()
}

// close waits until nobody works on the module any more.
func (v *validity) close() {
	if v == nil {
		return
	}
	v.ahead.drop()
	_ = v.wait()
	v.workers.Wait()
}
