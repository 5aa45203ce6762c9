package wazero_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
)

func interpret(t *testing.T, binary []byte) engine.Snapshotter {
	t.Helper()
	c, err := wazeroengine.NewCompiler(t.Context(), engine.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
	m, err := c.Interpret(t.Context(), binary)
	require.NoError(t, err)
	return m
}

func TestInstanceGetsPartsOfAModuleThatWasClosed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := interpret(t, wat.Must(`(module
		(func (export "one") (result i32) (i32.const 1))
		(func (export "two") (result i32) (i32.const 2)))`))
	inst, err := m.Instantiate(ctx, engine.Limits{})
	require.NoError(t, err)
	_, err = inst.Call(ctx, "one")
	require.NoError(t, err)
	require.NoError(t, m.Close(ctx))
	results, err := inst.Call(ctx, "two")
	require.NoError(t, err)
	require.Equal(t, []uint64{2}, results)
	require.NoError(t, inst.Close(ctx))
}

// What is called is validated before, and nobody learns a result before all is.
func TestInvalidModuleIsFoundOut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := interpret(t, wat.Must(`(module (func (export "f")) (func (result i32) (i64.const 1)))`))
	defer func() { assert.NoError(t, m.Close(ctx)) }()
	var invalid *engine.InvalidModuleError
	inst, err := m.Instantiate(ctx, engine.Limits{})
	if err == nil { // or it is known already
		_, err = inst.Call(ctx, "f")
		require.NoError(t, err)
		_, err = m.Capture(inst)
		require.ErrorAs(t, err, &invalid, "Capture")
		require.NoError(t, inst.Close(ctx))
		_, err = m.Instantiate(ctx, engine.Limits{})
	}
	require.ErrorAs(t, err, &invalid, "Instantiate")
}
