package enginetest

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// testHostValues passes values of every type through a host function that
// turns their order around.
func testHostValues(t *testing.T, e *env) {
	var lengths []int
	params := types(engine.I32, engine.I64, engine.F32, engine.F64)
	results := types(engine.F64, engine.F32, engine.I64, engine.I32, engine.I32)
	config := engine.Config{HostFuncs: []engine.HostFunc{
		hostFunc("turn", params, results, func(_ context.Context, _ engine.Memory, stack []uint64) error {
			lengths = append(lengths, len(stack))
			stack[0], stack[1], stack[2], stack[3], stack[4] = stack[3], stack[2], stack[1], stack[0], 9
			return nil
		}),
		hostFunc("many", types(engine.I32, engine.I32, engine.I32), types(engine.I32), func(_ context.Context, _ engine.Memory, stack []uint64) error {
			lengths = append(lengths, len(stack))
			stack[0] = uint64(uint32(stack[0]) - uint32(stack[1]) - uint32(stack[2]))
			return nil
		}),
	}}
	other := &env{open: e.open, config: config, rt: e.with(t, config)}
	instance := other.instance(t, `
		(type $turn (func (param i32 i64 f32 f64) (result f64 f32 i64 i32 i32)))
		(import "test" "turn" (func $turn (type $turn)))
		(import "test" "many" (func $many (param i32 i32 i32) (result i32)))
		(func (export "turn") (type $turn) (call $turn (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
		(func (export "many") (result i32) (call $many (i32.const 5) (i32.const 10) (i32.const 1)))`)
	for _, v := range [][4]uint64{
		{0, 0, 0, 0},
		{1, 2, uint64(math.Float32bits(1.5)), math.Float64bits(-2.5)},
		{math.MaxUint32, math.MaxUint64, uint64(math.Float32bits(float32(math.Inf(-1)))), math.Float64bits(math.Inf(1))},
		{1 << 31, 1 << 63, 0x7fa00001, 0x7ff4000000000001}, // NaNs keep their payload
	} {
		got, err := instance.Call(t.Context(), "turn", v[0], v[1], v[2], v[3])
		require.NoError(t, err)
		require.Len(t, got, 5)
		assert.Equal(t, v[3], got[0], "f64")
		assert.Equal(t, uint32(v[2]), uint32(got[1]), "f32")
		assert.Equal(t, v[1], got[2], "i64")
		assert.Equal(t, uint32(v[0]), uint32(got[3]), "i32")
		assert.EqualValues(t, 9, got[4])
	}
	assert.EqualValues(t, -6, call(t, instance, "many"))
	assert.Equal(t, []int{5, 5, 5, 5, 3}, lengths, "the longer of parameters and results")
}

func testHostMemory(t *testing.T, e *env) {
	const fields = imports + `(memory (export "m") 1)
		(func (export "f") (param i32) (result i32)
			(call $poke (i32.const 8) (local.get 0)) (i32.load (i32.const 8)))
		(func (export "grown") (result i32)
			(drop (memory.grow (i32.const 2))) (call $poke (i32.const 196604) (i32.const 5))
			(i32.add (call $pages) (i32.load (i32.const 196604))))
		(func (export "outside") (call $poke (i32.const 65533) (i32.const 1)))`
	m := e.module(t, fields)
	one, two := instantiate(t, m, engine.Limits{}), instantiate(t, m, engine.Limits{})
	assert.EqualValues(t, 41, call(t, one, "f", 41))
	assert.EqualValues(t, 42, call(t, two, "f", 42))
	assert.EqualValues(t, 41, one.Memory()[8], "each has its own")
	assert.EqualValues(t, 3+5, call(t, one, "grown"))

	_, err := two.Call(t.Context(), "outside")
	assert.Equal(t, &engine.BoundsError{Ptr: 65533, Len: 4, Size: engine.PageSize}, err)

	direct := e.instance(t, imports+`(memory (export "m") 1) (export "poke" (func $poke))`)
	_, err = direct.Call(t.Context(), "poke", 8, 77)
	require.NoError(t, err)
	assert.EqualValues(t, 77, direct.Memory()[8], "poked by an export that is the host function")
	instantiate(t, e.module(t, imports+`(memory (export "m") 1) (start $enter)`), engine.Limits{})

	none := e.instance(t, imports+`(func (export "f") (result i32) call $pages)`)
	assert.EqualValues(t, 0, call(t, none, "f"), "without memory")
	hidden := e.instance(t, imports+`(memory 1) (func (export "f") (result i32) call $pages)`)
	assert.EqualValues(t, 0, call(t, hidden, "f"), "with a memory that is not exported")
}

type contextKey struct{}

func testHostContext(t *testing.T, e *env) {
	config := engine.Config{HostFuncs: []engine.HostFunc{
		hostFunc("value", types(), types(engine.I32), func(ctx context.Context, _ engine.Memory, stack []uint64) error {
			value, ok := ctx.Value(contextKey{}).(uint32)
			if !ok {
				return fmt.Errorf("the context of the call has %v", ctx.Value(contextKey{}))
			}
			stack[0] = uint64(value)
			return nil
		}),
	}}
	other := &env{open: e.open, config: config, rt: e.with(t, config)}
	m := other.module(t, `(import "test" "value" (func $value (result i32)))
		(global $at_start (mut i32) (i32.const 0))
		(func $start (global.set $at_start (call $value))) (start $start)
		(func (export "f") (result i32) (i32.add (i32.mul (i32.const 1000) (global.get $at_start)) (call $value)))`)
	with := func(v uint32) context.Context { return context.WithValue(t.Context(), contextKey{}, v) }
	errs := atOnce(20, func(i int) error {
		instance, err := m.Instantiate(with(uint32(i)), engine.Limits{})
		if err != nil {
			return err
		}
		closeAtEnd(t, instance)
		for j := range 5 {
			got, err := instance.Call(with(uint32(j)), "f")
			if err != nil {
				return err
			}
			if want := uint64(1000*i + j); got[0] != want {
				return fmt.Errorf("instance %d, call %d: %d, want %d", i, j, got[0], want)
			}
		}
		return nil
	})
	for _, err := range errs {
		assert.NoError(t, err)
	}
}

// What a host function leaves behind looks at the context of its call, whatever the
// instance does then.
func testKeptHostContext(t *testing.T, e *env) {
	var kept []context.Context
	config := engine.Config{HostFuncs: []engine.HostFunc{
		hostFunc("keep", types(), types(), func(ctx context.Context, _ engine.Memory, _ []uint64) error {
			kept = append(kept, ctx)
			return nil
		}),
	}}
	other := &env{open: e.open, config: config, rt: e.with(t, config)}
	instance := other.instance(t, `(import "test" "keep" (func $keep)) (memory 1) (func (export "f") call $keep)`)
	looks := func(n int) {
		assert.Equal(t, uint32(n), kept[n].Value(contextKey{}))
		assert.Equal(t, n == 0, kept[n].Err() != nil)
	}
	for n := range 2 {
		ctx, stop := context.WithCancel(context.WithValue(t.Context(), contextKey{}, uint32(n)))
		defer stop()
		_, err := instance.Call(ctx, "f")
		require.NoError(t, err)
		if n == 0 {
			stop()
			looks(0)
		}
	}
	looks(0)
	looks(1)
}

func testDuplicateHostFuncs(t *testing.T, e *env) {
	config := e.config
	config.HostFuncs = append(e.hostFuncs(), hostFunc("enter", types(), types(), func(context.Context, engine.Memory, []uint64) error { return nil }))
	rt, err := e.open(t.Context(), config)
	if err == nil {
		closeAtEnd(t, rt)
	}
	assert.Error(t, err, "open with two functions named test.enter")
}
