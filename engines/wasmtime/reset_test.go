//go:build cgo && linux && amd64

package wasmtime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	wasmtimeengine "wasmwhisk/engines/wasmtime"
	"wasmwhisk/internal/wat"
)

// TestResetTakesGrowthBack tells that an instance that has grown is not given up.
func TestResetTakesGrowthBack(t *testing.T) {
	t.Parallel()
	rt, err := wasmtimeengine.New(t.Context(), engine.Config{CheckResets: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) }()
	m, err := rt.Compile(t.Context(), wat.Must(`(memory (export "memory") 2)
		(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
		(func (export "store") (param i32) (i32.store (local.get 0) (i32.const 1)))`))
	require.NoError(t, err)
	defer m.Close(t.Context())
	instance, err := m.Instantiate(t.Context(), engine.Limits{MemoryPages: 50})
	require.NoError(t, err)
	defer instance.Close(t.Context())
	for _, pages := range []uint64{1, 48, 1} {
		got, err := instance.Call(t.Context(), "grow", pages)
		require.NoError(t, err)
		require.Equal(t, []uint64{2}, got, "pages before growing by %d", pages)
		_, err = instance.Call(t.Context(), "store", 2*engine.PageSize)
		require.NoError(t, err)
		require.NoError(t, instance.(engine.Resetter).Reset())
		require.Len(t, instance.Memory(), 2*engine.PageSize)
	}
	_, err = instance.Call(t.Context(), "store", 2*engine.PageSize)
	trap, ok := errors.AsType[*engine.TrapError](err)
	require.True(t, ok, "beyond the end: %v", err)
	assert.Equal(t, engine.TrapMemoryOutOfBounds, trap.Kind)
}
