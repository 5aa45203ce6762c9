package wazero_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
)

func interpret(t *testing.T, binary []byte) engine.Snapshotter {
	t.Helper()
	c, err := wazeroengine.NewCompiler(t.Context(), engine.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
	m, err := c.Interpret(t.Context(), binary, nil)
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

// fresh is a module whose function f calls as many others, which do nothing, and with
// as many types of so many parameters.
func fresh(functions, types, params int) []byte {
	var source strings.Builder
	source.WriteString("(module\n")
	for i := range types {
		fmt.Fprintf(&source, "(type (func (param %s)))\n", strings.Repeat("i64 ", params+i))
	}
	source.WriteString(`(func (export "f") `)
	for i := range functions {
		fmt.Fprintf(&source, "(call %d) ", i+1)
	}
	source.WriteString(")\n")
	for i := range functions {
		fmt.Fprintf(&source, "(func (drop (i32.const %d)))\n", i)
	}
	source.WriteString(")")
	return wat.Must(source.String())
}

// Making the code of functions takes time that no instruction of the guest does.
func TestNewFunctionsEndWithTheDeadline(t *testing.T) {
	t.Parallel()
	m := interpret(t, fresh(300, 1, 1))
	defer func() { assert.NoError(t, m.Close(context.WithoutCancel(t.Context()))) }()
	inst, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, inst.Close(context.WithoutCancel(t.Context()))) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = inst.Call(ctx, "f")
	require.ErrorIs(t, err, context.Canceled)
}

// Each part repeats the module's types: with many it stays in one piece.
func TestManyTypesAreNotRepeated(t *testing.T) {
	t.Parallel()
	for params, want := range map[int]uint32{1: 4, 100: 0} {
		parts, err := rewrite.Split(fresh(3, 50, params), rewrite.Options{})
		require.NoError(t, err)
		assert.Equal(t, want, parts.Count(), "parts of a module with types of %d parameters and more", params)
	}
}
