package rewrite_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// lowering gives the instance of a frame its parts.
type lowering struct {
	runtime wazero.Runtime
	parts   *rewrite.Parts
	frame   api.Module
	asked   []uint32 // in order, those twice that were asked for twice
	added   map[uint32]bool
	alone   bool // each function is a part
	config  wazero.ModuleConfig
}

type loweringKey struct{}

// lowerings has what belongs to each frame that a call may come to.
type lowerings map[api.Module]*lowering

func (all lowerings) context() context.Context {
	return context.WithValue(context.Background(), loweringKey{}, all)
}

func lower(ctx context.Context, frame api.Module, stack []uint64) {
	ctx.Value(loweringKey{}).(lowerings)[frame].add(ctx, uint32(stack[0]))
}

func (l *lowering) add(ctx context.Context, n uint32) {
	l.asked = append(l.asked, n)
	if l.added[n] {
		return
	}
	group := l.group(n)
	for _, f := range group {
		l.added[f] = true
	}
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module {
		if name == rewrite.FrameModule {
			return l.frame
		}
		return nil
	})
	if _, err := l.runtime.InstantiateWithConfig(ctx, l.parts.Part(group), l.config); err != nil {
		panic(fmt.Errorf("part %d: %w", n, err))
	}
}

// group is a function and what follows it, unless each is a part.
func (l *lowering) group(n uint32) []uint32 {
	group := []uint32{n}
	for f := n + 1; f < min(n+4, l.parts.Count()) && !l.alone; f++ {
		if l.parts.Asked(f) && !l.added[f] {
			group = append(group, f)
		}
	}
	return group
}

func split(t testing.TB, binary []byte) *rewrite.Parts {
	t.Helper()
	parts, err := rewrite.Split(binary, rewrite.Options{})
	require.NoError(t, err, "module %x", binary)
	return parts
}

// lower has a frame given its parts.
func (all lowerings) lower(r wazero.Runtime, parts *rewrite.Parts, frame api.Module) *lowering {
	l := &lowering{runtime: r, parts: parts, frame: frame, added: map[uint32]bool{}, config: anonymous()}
	all[frame] = l
	return l
}

func observeParts(t testing.TB, r wazero.Runtime, parts *rewrite.Parts) []*outcome {
	t.Helper()
	all := lowerings{}
	return observeIn(all.context(), t, r, &parts.Result, func(m api.Module) { all.lower(r, parts, m) })
}

// What differs between a module in one piece and one in parts is its code.
func TestSplitTellsTheSame(t *testing.T) {
	t.Parallel()
	binary := wat.Must(`(module
		(memory (export "memory") 1) (data (i32.const 8) "data")
		(global (mut i64) (i64.const 7)) (global f64 (f64.const 0.5))
		(func $start (local i64 i64)) (start $start))`)
	whole, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, Capture: true})
	require.NoError(t, err)
	parts := split(t, binary)
	result := parts.Result
	result.Binary = whole.Binary
	require.Equal(t, whole, &result)
	require.EqualValues(t, 1, parts.Count())
	require.NotZero(t, parts.LeftOut)
}

// calls reaches a function in every way there is.
const calls = `(module
	(type $f (func (param i32) (result i32)))
	(import "host" "twice" (func $twice (type $f)))
	(memory (export "memory") 1)
	(table $t 4 funcref) (elem (table $t) (i32.const 1) func $leaf $twice)
	(global $g (mut i32) (i32.const 5)) (global $c i32 (i32.const 2))
	(func $leaf (type $f) (i32.add (local.get 0) (global.get $c)))
	(func $middle (type $f)
		(global.set $g (i32.add (global.get $g) (i32.const 1)))
		(i32.store (i32.const 0) (i32.const 9))
		(call $twice (call $leaf (local.get 0))))
	(func (export "direct") (type $f) (call $middle (call $leaf (local.get 0))))
	(func (export "table") (type $f) (call_indirect $t (type $f) (local.get 0) (i32.const 1)))
	(func (export "host") (type $f) (call_indirect $t (type $f) (local.get 0) (i32.const 2)))
	(func (export "null") (type $f) (call_indirect $t (type $f) (local.get 0) (i32.const 3)))
	(func $never (export "never") (type $f) unreachable)
	(func (export "g") (result i32) (i32.add (global.get $g) (i32.load (i32.const 0)))))`

func TestPartsAreAskedForWhenTheyAreCalled(t *testing.T) {
	t.Parallel()
	for engine, r := range newRuntimes(t) {
		_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().
			WithFunc(func(n uint32) uint32 { return 2 * n }).Export("twice").Instantiate(t.Context())
		require.NoError(t, err)
		parts := split(t, wat.Must(calls))
		all := lowerings{}
		ctx := all.context()
		s, err := instantiate(ctx, r, parts.Binary, parts.Guard)
		require.NoError(t, err)
		l := all.lower(r, parts, s.Module)
		l.alone = true
		for _, tc := range []struct {
			export string
			want   uint64
			asked  []uint32
		}{
			{"direct", 22, []uint32{2, 0, 1}}, // ((7 + 2) + 2) * 2
			{"direct", 22, []uint32{2}},
			{"table", 9, []uint32{3}},
			{"host", 14, []uint32{4}},
		} {
			l.asked = nil
			results, err := s.call(ctx, tc.export, 7)
			require.NoError(t, err, "%s on %s", tc.export, engine)
			assert.Equal(t, []uint64{tc.want}, results, "%s on %s", tc.export, engine)
			assert.Equal(t, tc.asked, l.asked, "%s on %s asks for", tc.export, engine)
		}
		_, err = s.call(ctx, "null", 7)
		assert.ErrorContains(t, err, "invalid table access", "null on %s", engine)
		results, err := s.call(ctx, "g")
		require.NoError(t, err)
		assert.Equal(t, []uint64{7 + 9}, results, "global and memory on %s", engine)
	}
}

// What belongs to a module in ways that others cannot share stays in its frame.
func TestNotSplit(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"data segment dropped":    `(data $d "x") (memory 1) (func (export "f") (data.drop $d))`,
		"memory initialised":      `(data $d "x") (memory 1) (func (export "f") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0)))`,
		"element segment dropped": `(table 1 funcref) (elem $e func) (func (export "f") (elem.drop $e))`,
		"function named":          `(elem declare func $f) (func $f (export "f") (drop (ref.func $f)))`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
			parts := split(t, wat.Must("(module "+source+")"))
			all := lowerings{}
			ctx := all.context()
			s, err := instantiate(ctx, r, parts.Binary, parts.Guard)
			require.NoError(t, err)
			l := all.lower(r, parts, s.Module)
			_, err = s.call(ctx, "f")
			require.NoError(t, err)
			assert.Empty(t, l.asked)
			assert.Zero(t, parts.LeftOut)
		})
	}
	imports := split(t, wat.Must(`(module (import "m" "g" (global i32)) (func (export "f")))`))
	assert.Zero(t, imports.Count(), "parts of a module that imports a global")
}
