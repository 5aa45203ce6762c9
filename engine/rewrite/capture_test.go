package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

func captured(t *testing.T, source string) *rewrite.Result {
	t.Helper()
	result, err := rewrite.Rewrite(wat.Must(source), rewrite.Options{Capture: true})
	require.NoError(t, err)
	return result
}

func TestCaptureGlobals(t *testing.T) {
	t.Parallel()
	result := captured(t, `
		(import "m" "g" (global i32))
		(global (mut i32) (i32.const 1)) (global i64 (i64.const 2)) (global (mut i64) (i64.const 3))
		(global (mut f32) (f32.const 4)) (global $own (mut f64) (f64.const 5)) (export "own" (global $own))`)
	assert.Equal(t, []rewrite.Global{
		{Type: 0x7f, Export: "wasmwhisk.g1"},
		{Type: 0x7e, Export: "wasmwhisk.g3"},
		{Type: 0x7d, Export: "wasmwhisk.g4"},
		{Type: 0x7c, Export: "wasmwhisk.g5"},
	}, result.Globals)
	assert.Empty(t, result.Unresettable)
	assert.Nil(t, result.Guard)
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	_, err := r.InstantiateWithConfig(context.Background(), wat.Must(`(global (export "g") i32 (i32.const 7))`), wazero.NewModuleConfig().WithName("m"))
	require.NoError(t, err)
	s, err := instantiate(context.Background(), r, result.Binary, nil)
	require.NoError(t, err)
	assert.Equal(t, uint64(3), s.ExportedGlobal("wasmwhisk.g3").Get())
	assert.NotNil(t, s.ExportedGlobal("own"))
}

func TestCaptureImage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		source string
		want   []rewrite.Segment
	}{
		"nothing":            {`(memory 1)`, nil},
		"empty":              {`(memory 1) (data (i32.const 5) "")`, nil},
		"one":                {`(memory 1) (data (i32.const 5) "abc")`, []rewrite.Segment{{Offset: 5, Data: []byte("abc")}}},
		"neighbours":         {`(memory 1) (data (i32.const 5) "abc") (data (i32.const 10) "x")`, []rewrite.Segment{{Offset: 5, Data: []byte("abc\x00\x00x")}}},
		"out of order":       {`(memory 1) (data (i32.const 10) "x") (data (i32.const 5) "abc")`, []rewrite.Segment{{Offset: 5, Data: []byte("abc\x00\x00x")}}},
		"later over earlier": {`(memory 1) (data (i32.const 5) "abc") (data (i32.const 6) "XYZ")`, []rewrite.Segment{{Offset: 5, Data: []byte("aXYZ")}}},
		"lower over higher":  {`(memory 1) (data (i32.const 6) "abc") (data (i32.const 5) "XYZ")`, []rewrite.Segment{{Offset: 5, Data: []byte("XYZc")}}},
		"within":             {`(memory 1) (data (i32.const 5) "abcdef") (data (i32.const 7) "X")`, []rewrite.Segment{{Offset: 5, Data: []byte("abXdef")}}},
		"far apart": {
			`(memory 4) (data (i32.const 0) "a") (data (i32.const 200000) "b")`,
			[]rewrite.Segment{{Offset: 0, Data: []byte("a")}, {Offset: 200000, Data: []byte("b")}},
		},
		"up to the end": {`(memory 1) (data (i32.const 65535) "z")`, []rewrite.Segment{{Offset: 65535, Data: []byte("z")}}},
		"passive":       {`(memory 1) (data "p") (data (i32.const 1) "a")`, []rewrite.Segment{{Offset: 1, Data: []byte("a")}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := captured(t, tc.source)
			assert.Empty(t, result.Uncaptured)
			assert.Equal(t, tc.want, result.Image)
			assert.False(t, bytes.Contains(result.Binary, []byte("abc")), "data in the binary")
		})
	}
}

func TestCaptureStart(t *testing.T) {
	t.Parallel()
	result := captured(t, `(memory 1) (global (mut i32) (i32.const 0)) (func $s (global.set 0 (i32.const 9))) (start $s)`)
	require.Equal(t, "wasmwhisk.start", result.Start)
	ctx := context.Background()
	s, err := instantiate(ctx, newRuntime(t, wazero.NewRuntimeConfigInterpreter()), result.Binary, nil)
	require.NoError(t, err)
	assert.Equal(t, uint64(0), s.ExportedGlobal("wasmwhisk.g0").Get())
	_, err = s.call(ctx, result.Start)
	require.NoError(t, err)
	assert.Equal(t, uint64(9), s.ExportedGlobal("wasmwhisk.g0").Get())
}

// TestActiveSegmentsAreDropped has the specification's behaviour, which wazero
// by itself has not.
func TestActiveSegmentsAreDropped(t *testing.T) {
	t.Parallel()
	result := captured(t, `(memory 1) (data (i32.const 0) "active") (data "passive")
		(func (export "f0") (memory.init 0 (i32.const 9) (i32.const 0) (i32.const 1)))
		(func (export "f1") (memory.init 1 (i32.const 9) (i32.const 0) (i32.const 7)))`)
	ctx := context.Background()
	s, err := instantiate(ctx, newRuntime(t, wazero.NewRuntimeConfigInterpreter()), result.Binary, nil)
	require.NoError(t, err)
	_, err = s.call(ctx, "f0")
	assert.ErrorContains(t, err, "out of bounds memory access")
	_, err = s.call(ctx, "f1")
	assert.NoError(t, err)
	got, _ := s.Memory().Read(9, 7)
	assert.Equal(t, "passive", string(got))
}

func TestUncaptured(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`(import "m" "g" (global i32)) (memory 1) (data (global.get 0) "x") (func $s) (start $s)`: "the offset of a data segment is computed",
		`(memory 1) (data (i32.const 65535) "xy")`:                                                "a data segment exceeds the memory",
		`(memory 1) (data (i32.const -1) "x")`:                                                    "a data segment exceeds the memory",
		`(import "m" "m" (memory 1)) (data (i32.const 0) "x")`:                                    "the memory is imported",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			result := captured(t, source)
			assert.Equal(t, want, result.Uncaptured)
			assert.Empty(t, result.Image)
			assert.Empty(t, result.Start)
		})
	}
}

func TestUnresettable(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`(memory 1) (table 1 funcref) (elem (i32.const 0) 0) (func (call_indirect (i32.const 0)))`:                           "",
		`(memory 1) (data "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)))`:                             "",
		`(memory 1) (data "x") (func (data.drop 0))`:                                                                         "",
		`(table 1 funcref) (elem func 0) (func (elem.drop 0))`:                                                               "",
		`(table 1 funcref) (func (drop (table.get (i32.const 0))) (drop (table.size)))`:                                      "",
		`(memory 1) (data "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop 0))`:               "data segments are dropped",
		`(memory 1) (data (i32.const 0) "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop 0))`: "data segments are dropped",
		`(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))`:                                                 "tables are written",
		`(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 0))))`:                                         "tables are written",
		`(table 1 funcref) (func (table.fill (i32.const 0) (ref.null func) (i32.const 0)))`:                                  "tables are written",
		`(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))`:                                    "tables are written",
		`(table 1 funcref) (elem func 0) (func (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))`:                    "tables are written",
		`(global (mut funcref) (ref.null func))`:                                                                             "a mutable global holds no number",
		`(global (mut externref) (ref.null extern))`:                                                                         "a mutable global holds no number",
		`(import "m" "g" (global (mut i32)))`:                                                                                "a mutable global is imported",
		`(import "m" "g" (global i32))`:                                                                                      "",
		`(import "m" "t" (table 1 funcref))`:                                                                                 "a table is imported",
		`(import "m" "m" (memory 1))`:                                                                                        "the memory is imported",
		`(memory 1) (memory 1)`:                                                                                              "there are several memories",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, want, captured(t, source).Unresettable)
		})
	}
}

func TestMemoryBound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]struct {
		has      bool
		min, max uint32
		wat      string
	}{
		`(table 1 1 funcref)`: {wat: `(table 1 1 funcref)`},
		`(memory 1)`:          {true, 1, 10, `(memory 1 10)`},
		`(memory 1 11)`:       {true, 1, 10, `(memory 1 10)`},
		`(memory 1 5)`:        {true, 1, 5, `(memory 1 5)`},
		`(memory 10)`:         {true, 10, 10, `(memory 10 10)`},
		`(memory 12 5)`:       {true, 12, 5, `(memory 12 5)`},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			result, err := rewrite.Rewrite(wat.Must(source), rewrite.Options{MemoryPages: 10})
			require.NoError(t, err)
			assert.Equal(t, wat.Must(want.wat), result.Binary)
			assert.Equal(t, want.has, result.HasMemory)
			assert.Equal(t, [2]uint32{want.min, want.max}, [2]uint32{result.MemoryMin, result.MemoryMax})
		})
	}
	_, err := rewrite.Rewrite(wat.Must(`(memory 11)`), rewrite.Options{MemoryPages: 10})
	tooLarge, ok := errors.AsType[*rewrite.MemoryError](err)
	require.True(t, ok, "Rewrite = %v, want a MemoryError", err)
	assert.Equal(t, rewrite.MemoryError{Minimum: 11, Limit: 10}, *tooLarge)
}

// TestNames sees to it that stack traces name functions after rewriting.
func TestNames(t *testing.T) {
	t.Parallel()
	binary := wat.Must(`(import "m" "f" (func)) (func (unreachable)) (func (export "f0") (call 1))
		(@custom ".debug_info" "x") (@custom "name" "\00\02\01m" "\01\10\03\00\01i\01\04trap\02\04call" "\02\01\00")`)
	result := guarded(t, binary)
	ctx := context.Background()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	_, err := r.InstantiateWithConfig(ctx, wat.Must(`(func (export "f"))`), wazero.NewModuleConfig().WithName("m"))
	require.NoError(t, err)
	s, err := instantiate(ctx, r, result.Binary, result.Guard)
	require.NoError(t, err)
	_, err = s.call(ctx, "f0")
	assert.ErrorContains(t, err, "wasm stack trace:\n\t.trap()\n\t.call()")
	assert.NotContains(t, string(result.Binary), ".debug_info")
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	body := func(code string) []byte {
		code = "\x00" + code + "\x0b"
		return []byte(module(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(10, "\x01"+string(rune(len(code)))+code))
	}
	for name, code := range map[string]string{
		"return_call":          "\x12\x00",
		"return_call_indirect": "\x13\x00\x00",
		"call_ref":             "\x14\x00",
		"try_table":            "\x1f\x40\x00\x0b",
		"atomic.fence":         "\xfe\x03\x00",
		"relaxed swizzle":      "\xfd\x80\x02",
		"unassigned vector":    "\xfd\x9a\x01",
		"unassigned bulk":      "\xfc\x12",
		"unassigned":           "\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rewrite.Rewrite(body(code), rewrite.Options{Guard: true})
			_, ok := errors.AsType[*rewrite.UnsupportedError](err)
			assert.True(t, ok, "Rewrite = %v, want an UnsupportedError", err)
		})
	}
}

// A number that does not fit makes a module invalid, and must not get lost with the
// segment that it is the offset of.
func TestOffsetsThatDoNotFitStay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	const memory, one = "\x05\x03\x01\x00\x01", "\x0b\x0b\x01\x00\x41\x80\x80\x80\x80\x10\x0b\x01a"
	binary := []byte("\x00asm\x01\x00\x00\x00" + memory + one)
	require.Error(t, valid(ctx, r, binary))
	result, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, Capture: true})
	require.NoError(t, err)
	require.Error(t, valid(ctx, r, result.Binary))
}
