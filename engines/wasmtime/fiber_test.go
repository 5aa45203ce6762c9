//go:build cgo && linux && amd64

package wasmtime

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// blocking is an engine with so many threads, whose guests call f to block until they
// are released; each is announced.
func blocking(t *testing.T, threads int) (_ *Runtime, _ *module, entered <-chan struct{}, release func()) {
	t.Helper()
	enters, released := make(chan struct{}), make(chan struct{})
	r, err := newRuntime(engine.Config{HostFuncs: []engine.HostFunc{{
		Module: "test", Name: "block",
		Call: func(context.Context, engine.Memory, []uint64) error {
			enters <- struct{}{}
			<-released
			return nil
		},
	}}}, threads)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	m, err := r.Compile(t.Context(), wat.Must(`(import "test" "block" (func $block)) (memory (export "m") 1) (func (export "f") call $block)`))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close(context.Background())) })
	return r, m.(*module), enters, sync.OnceFunc(func() { close(released) })
}

func newInstance(t *testing.T, m *module) *instance {
	t.Helper()
	i, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, i.Close(context.Background())) })
	return i.(*instance)
}

func TestBlockedGuestsTakeFewThreads(t *testing.T) {
	t.Parallel()
	const threads, guests = 2, 50
	r, m, entered, release := blocking(t, threads)
	var ended sync.WaitGroup
	defer ended.Wait()
	defer release()
	for range guests {
		i := newInstance(t, m)
		ended.Go(func() {
			_, err := i.Call(t.Context(), "f")
			assert.NoError(t, err)
		})
		<-entered
	}
	assert.Len(t, r.places[onThread], threads)
	assert.Empty(t, r.places[onFiber], "turns of guests that wait")
}

// TestInstancesChangeTheirWay has an instance be put back when there are threads
// again.
func TestInstancesChangeTheirWay(t *testing.T) {
	t.Parallel()
	_, m, entered, release := blocking(t, 1)
	first := newInstance(t, m)
	done := make(chan error)
	go func() {
		_, err := first.Call(t.Context(), "f")
		done <- err
	}()
	<-entered
	second := newInstance(t, m)
	assert.Equal(t, onFiber, second.way)
	release()
	require.NoError(t, <-done)
	require.NoError(t, second.Reset())
	assert.Equal(t, onThread, second.way)
	go func() { <-entered }()
	_, err := second.Call(t.Context(), "f")
	assert.NoError(t, err)
}
