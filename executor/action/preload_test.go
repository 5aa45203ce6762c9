package action

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
	"wasmwhisk/precompile"
)

// lost are modules whose artefact of an action used last turns out to be damaged, when
// it is let.
type lost struct {
	engine.WasmRuntime
	last          precompile.Action
	asked, answer chan struct{}
}

func (l *lost) Recent(int) []precompile.Action { return []precompile.Action{{Hash: l.last.Hash}} }

func (l *lost) Module(ctx context.Context, taken precompile.Action) (engine.Module, precompile.Origin, error) {
	if taken.Binary == nil {
		close(l.asked)
		<-l.answer
		return nil, precompile.Compiled, precompile.ErrBinaryNeeded
	}
	m, err := l.Compile(ctx, taken.Binary)
	return m, precompile.Compiled, err
}

// commandIn gives an engine and an action for it.
func commandIn(t *testing.T) (engine.WasmRuntime, precompile.Action) {
	t.Helper()
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	code := string(wat.Must(`(memory (export "memory") 1) (func (export "_start"))`))
	taken, err := precompile.Intake([]byte(code), precompile.Limits{})
	require.NoError(t, err)
	return rt, taken
}

func makerOf(t *testing.T, config pool.Config, modules Modules) *Maker {
	t.Helper()
	p := pool.New(config)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return NewMaker(Config{Pool: p, Modules: modules})
}

// TestPreloadTakesNothingFromRequests has a request wait for what is loaded ahead,
// in vain.
func TestPreloadTakesNothingFromRequests(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rt, last := commandIn(t)
	modules := &lost{WasmRuntime: rt, last: last, asked: make(chan struct{}), answer: make(chan struct{})}
	m := makerOf(t, pool.Config{}, modules)
	p := m.config.Pool

	var both sync.WaitGroup
	both.Go(func() { m.Preload(ctx, 1) })
	<-modules.asked
	both.Go(func() {
		var trial Trial
		ref, err := m.module(ctx, "", last, &trial)
		if assert.NoError(t, err) {
			ref.Release()
		}
		assert.Equal(t, Compiled, trial.Source)
	})
	require.Eventually(t, func() bool { return p.Stats().Hits == 1 }, time.Minute, time.Millisecond, "requests that wait")
	close(modules.answer)
	both.Wait()
	assert.Equal(t, 1, p.Stats().Modules)
}

// gone are modules whose artefacts are not there any more.
type gone struct {
	engine.WasmRuntime
	asked chan struct{}
}

func (g gone) Module(ctx context.Context, taken precompile.Action) (engine.Module, precompile.Origin, error) {
	if taken.Binary == nil {
		select {
		case g.asked <- struct{}{}:
		default:
		}
		time.Sleep(time.Millisecond) // for others to join
		return nil, precompile.Compiled, precompile.ErrBinaryNeeded
	}
	m, err := g.Compile(ctx, taken.Binary)
	return m, precompile.Compiled, err
}

// TestManyLoadsAheadTakeNothingFromRequests has requests join the loads of others who begin
// again at once, and are quicker to where there is one processor.
func TestManyLoadsAheadTakeNothingFromRequests(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rt, last := commandIn(t)
	modules := gone{rt, make(chan struct{})}
	m := makerOf(t, pool.Config{MaxBytes: 1}, modules)
	known := precompile.Action{Hash: last.Hash}
	requests, done := context.WithCancel(ctx)
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for requests.Err() == nil {
				if ref, err := m.loadAhead(ctx, known); err == nil {
					ref.Release()
					time.Sleep(2 * time.Millisecond) // for the pool to let it go
				}
			}
		})
	}
	for range 10 {
		<-modules.asked
		var trial Trial
		ref, err := m.module(ctx, "", last, &trial)
		if !assert.NoError(t, err) {
			break
		}
		ref.Release()
	}
	done()
	others.Wait()
}
