package rewrite_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// readsEveryWay reads by a call, by a table and by a reference, and gives what
// came of it.
const readsEveryWay = `(module
  (type $read (func (param i32 i32 i32 i32) (result i32)))
  (import "env" "other" (func $other (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (type $read)))
  (table funcref (elem $fd_read)) (elem declare func $fd_read)
  (export "again" (func $fd_read))
  (global $got (mut i32) (i32.const 0))
  (func (export "got") (result i32) (global.get $got))
  (func $add (param i32) (global.set $got (i32.add (i32.mul (global.get $got) (i32.const 100)) (local.get 0))))
  (func (export "_start")
    (call $add (call $other))
    (call $add (call $fd_read (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)))
    (call $add (call_indirect (type $read) (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 0)))
    (call $add (ref.is_null (ref.func $fd_read)))))`

// readings is a host that has each read repeated some times.
type readings struct {
	repeat int
	calls  [][4]uint64
	ticks  []uint64
}

func (h *readings) read(_ context.Context, stack []uint64) {
	var args [4]uint64
	for i := range args {
		args[i] = uint64(uint32(stack[i])) // above may be anything
	}
	h.calls = append(h.calls, args)
	stack[0] = 7
	if len(h.calls)%(h.repeat+1) != 0 {
		again := int32(rewrite.Again)
		stack[0] = uint64(uint32(again))
	}
}

func (h *readings) tick(_ context.Context, stack []uint64) {
	h.ticks = append(h.ticks, stack[0])
	stack[0] = fuel
}

func (h *readings) runtime(t *testing.T, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), config)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	i32 := api.ValueTypeI32
	for _, f := range []struct {
		module, name string
		call         api.GoFunc
		params       []api.ValueType
	}{
		{"env", "other", func(_ context.Context, stack []uint64) { stack[0] = 5 }, nil},
		{rewrite.ReadModule, rewrite.ReadName, h.read, []api.ValueType{i32, i32, i32, i32}},
		{rewrite.ReservedModule, rewrite.TickName, h.tick, []api.ValueType{i32}},
	} {
		_, err := r.NewHostModuleBuilder(f.module).NewFunctionBuilder().
			WithGoFunction(f.call, f.params, []api.ValueType{i32}).Export(f.name).Instantiate(t.Context())
		require.NoError(t, err)
	}
	return r
}

func TestHeldCommandsReadAgainWhenTold(t *testing.T) {
	t.Parallel()
	for _, o := range []rewrite.Options{{Guard: true, Hold: true}, {Guard: true, Hold: true, LazyTables: 1}} {
		result, err := rewrite.Rewrite(wat.Must(readsEveryWay), o)
		require.NoError(t, err)
		require.Equal(t, rewrite.HeldExport, result.Held)
		readsAgainWhenTold(t, result)
	}
}

func readsAgainWhenTold(t *testing.T, result *rewrite.Result) {
	t.Helper()
	for name, config := range runtimeConfigs() {
		for repeat := range 3 {
			host := &readings{repeat: repeat}
			r := host.runtime(t, config)
			s, err := instantiate(t.Context(), r, result.Binary, result.Guard)
			require.NoError(t, err)
			_, err = s.call(t.Context(), "_start")
			require.NoError(t, err)
			got, err := s.call(t.Context(), "got")
			require.NoError(t, err)
			assert.Equal(t, []uint64{5_07_07_00}, got, "%s: what %d repetitions give", name, repeat)
			var want [][4]uint64
			for _, args := range [][4]uint64{{1, 2, 3, 4}, {5, 6, 7, 8}} {
				for range repeat + 1 {
					want = append(want, args)
				}
			}
			assert.Equal(t, want, host.calls, "%s: reads", name)

			host.ticks = nil
			_, err = s.ExportedFunction(result.Held).Call(t.Context())
			require.NoError(t, err)
			assert.EqualValues(t, rewrite.Returned, host.ticks[len(host.ticks)-1], "what the host hears last of a held _start")
		}
	}
}

func TestWhatCannotBeHeldStaysAsItIs(t *testing.T) {
	t.Parallel()
	const start = `(func (export "_start"))`
	const read = `(import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))`
	for name, source := range map[string]string{
		"nothing":                 ``,
		"no _start":               read + `(func (export "start"))`,
		"a _start with arguments": read + `(func (export "_start") (param i32))`,
		"a _start of no function": read + `(memory (export "_start") 1)`,
		"nothing to read by":      start,
		"two ways to read":        read + read + start,
		"another signature":       strings.Replace(read, "i32 i32)", "i32)", 1) + start,
		"another module":          strings.Replace(read, "preview1", "preview2", 1) + start,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, err := rewrite.Rewrite(wat.Must(source), rewrite.Options{Guard: true, Hold: true})
			require.NoError(t, err)
			assert.Empty(t, held.Held)
			plain, err := rewrite.Rewrite(wat.Must(source), rewrite.Options{Guard: true})
			require.NoError(t, err)
			assert.Equal(t, plain.Binary, held.Binary)
		})
	}
	unguarded, err := rewrite.Rewrite(wat.Must(read+start), rewrite.Options{Hold: true})
	require.NoError(t, err)
	assert.Empty(t, unguarded.Held)
}
