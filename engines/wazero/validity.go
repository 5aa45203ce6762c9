package wazero

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
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
func validate(binary []byte, c code) *validity {
	v := &validity{why: sync.OnceValue(func() error { return invalid(binary) })}
	if p := c.parts; p != nil {
		for _, part := range p.likely {
			v.ahead.tasks = append(v.ahead.tasks, func() { _, _ = part.code() })
		}
		for _, functions := range p.unsure() {
			v.judge(func() error { return invalid(p.source.Sample(functions)) })
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

// invalid has wazero decode and validate a binary, and nothing more. The runtime for
// that is of this binary alone: none forgets the types that it has seen.
func invalid(binary []byte) (err error) {
	defer recovered("validate", &err)
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, guestConfig(wazero.NewRuntimeConfigInterpreter()))
	err = validated(ctx, r, rewrite.Plain(binary))
	_ = r.Close(ctx)
	if err != nil {
		return &engine.InvalidModuleError{Err: err}
	}
	return nil
}

// validated ends where wazero asks for what listens to a function, which it does once
// a module is valid. One without functions is compiled: there is nothing to do.
func validated(ctx context.Context, r wazero.Runtime, binary []byte) (err error) {
	defer func() {
		p := recover()
		if _, ok := p.(isValid); p != nil && !ok {
			panic(p)
		}
	}()
	_, err = r.CompileModule(experimental.WithFunctionListenerFactory(ctx, isValid{}), binary)
	return err
}

// isValid listens to nothing.
type isValid struct{}

func (isValid) NewFunctionListener(api.FunctionDefinition) experimental.FunctionListener {
	panic(isValid{})
}

// validateUnsure has the engine validate a binary as it was before it was rewritten, if
// the rewriter is not sure of it.
func validateUnsure(binary []byte, c code) error {
	if c.Sound {
		return nil
	}
	return invalid(binary)
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
