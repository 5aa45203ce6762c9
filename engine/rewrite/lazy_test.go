package rewrite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// Only tables that nothing but calls can see are filled when they are called through.
func TestWhichTablesAreLazy(t *testing.T) {
	t.Parallel()
	const begin = `(type $t (func)) (func $f) (func $g) (global $g funcref (ref.func $f)) (memory 1) `
	const called = `(func (export "x") (param i32) (call_indirect $t (type $t) (local.get 0)))`
	const table = "(table $t 9 funcref) "
	for source, lazy := range map[string]bool{
		table + "(elem (i32.const 0) $f $g)" + called:                                                                                                            true,
		table + "(elem (i32.const 0) $f)" + called:                                                                                                               false, // too few
		table + "(elem (i32.const 0) $f) (elem (i32.const 7) $f)" + called:                                                                                       true,
		table + "(elem (i32.const 0) $f $g)":                                                                                                                     true, // never called, but nobody sees it
		table + "(elem (table $t) (i32.const 0) func $f $g)" + called:                                                                                            true,
		table + "(elem (i32.const 0) funcref (ref.func $f) (ref.null func) (ref.func $g))" + called:                                                              true,
		table + "(elem (i32.const 0) funcref (ref.null func) (ref.null func)) (elem func $f $g)" + called:                                                        false,
		table + "(elem (i32.const 0) $f $g) (elem (i32.const 0) funcref (ref.null func) (ref.null func))" + called:                                               false, // nothing is left
		table + "(elem (table $t) (i32.const 0) funcref (ref.func $f) (ref.func $g))" + called:                                                                   true,
		table + "(elem (i32.const 0) funcref (ref.func $f) (ref.func $g) (global.get $g))" + called:                                                              false,
		table + "(elem (i32.const 0) $f $g) (elem (i32.const 3) funcref (global.get $g))" + called:                                                               false,
		table + "(elem func $f $g)" + called:                                                                                                                     false,
		table + "(elem (i32.const 0) $f $g) (elem func $f)" + called:                                                                                             true,
		`(import "m" "o" (global $o i32)) |` + table + `(elem (global.get $o) $f $g)` + called:                                                                   false,
		table + `(export "t" (table $t)) (elem (i32.const 0) $f $g)` + called:                                                                                    false,
		`(import "m" "t" (table $t 9 funcref)) | (elem (i32.const 0) $f $g)` + called:                                                                            false,
		`(import "m" "t" (table 9 funcref)) | (table $t 9 funcref) (elem (table $t) (i32.const 0) func $f $g)` + called:                                          true,
		table + "(elem (i32.const 0) $f $g) (func (drop (table.get $t (i32.const 0))))" + called:                                                                 false,
		table + "(elem (i32.const 0) $f $g) (func (drop (table.size $t)))" + called:                                                                              false,
		table + "(elem (i32.const 0) $f $g) (func (table.set $t (i32.const 0) (ref.null func)))" + called:                                                        false,
		table + "(elem (i32.const 0) $f $g) (func (drop (table.grow $t (ref.null func) (i32.const 0))))" + called:                                                false,
		table + "(elem (i32.const 0) $f $g) (func (table.fill $t (i32.const 0) (ref.null func) (i32.const 0)))" + called:                                         false,
		table + "(elem (i32.const 0) $f $g) (elem $e func $f) (func (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)))" + called:                      false,
		table + "(table $u 9 funcref) (elem (i32.const 0) $f $g) (elem $e func $f) (func (table.init $u $e (i32.const 0) (i32.const 0) (i32.const 1)))" + called: true,
		table + "(table $u 9 funcref) (elem (i32.const 0) $f $g) (func (table.copy $t $u (i32.const 0) (i32.const 0) (i32.const 1)))" + called:                   false,
		table + "(table $u 9 funcref) (elem (i32.const 0) $f $g) (func (table.copy $u $t (i32.const 0) (i32.const 0) (i32.const 1)))" + called:                   false,
		table + "(elem $e (i32.const 0) $f $g) (func (elem.drop $e))" + called:                                                                                   true,
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			imports, rest, ok := strings.Cut(source, "|")
			if !ok {
				imports, rest = "", source
			}
			binary := wat.Must("(module " + imports + begin + rest + ")")
			o := rewrite.Options{Guard: true}
			eager, err := rewrite.Rewrite(binary, o)
			require.NoError(t, err)
			o.LazyTables = 2
			got, err := rewrite.Rewrite(binary, o)
			require.NoError(t, err)
			assert.Equal(t, lazy, string(got.Binary) != string(eager.Binary), "the table is filled when it is called through")
			eager.Binary, got.Binary = nil, nil
			assert.Equal(t, eager, got, "what the host knows of the module")

			parts, err := rewrite.Split(binary, rewrite.Options{})
			require.NoError(t, err)
			inParts, err := rewrite.Split(binary, o)
			require.NoError(t, err)
			assert.Equal(t, parts.Binary, inParts.Binary)
		})
	}
}

// everySegment has element segments in all eight forms, and two that do nothing.
const everySegment = `(module (type $t (func)) (func $f) (func $g) (table 9 funcref) (table $u 9 funcref)
	(elem (i32.const 0) $f $g) (elem func $f) (elem (table $u) (i32.const 1) func $f) (elem declare func $g)
	(elem (i32.const 1) funcref (ref.func $f) (ref.null func)) (elem funcref (ref.func $g))
	(elem (table $u) (i32.const 2) funcref (ref.func $f)) (elem declare funcref (ref.func $f))
	(elem (i32.const 9)) (elem (table $u) (i32.const 0) funcref (ref.null func))
	(func (call_indirect (type $t) (i32.const 0)) (call_indirect $u (type $t) (i32.const 2)) (elem.drop 0)))`

// manyTables has two tables, of which one has gaps, with functions that tell who they
// are by what they return: $i gives i, and $other has another type. The second table
// overlaps itself. "many" calls through the first many times.
func manyTables(n int) string {
	var b strings.Builder
	b.WriteString(`(module (type $t (func (result i32))) (type $o (func (param i64) (result i32)))
		(memory (export "memory") 1)
		(global (export "g0") (mut i32) (i32.const 0)) (global (export "g1") (mut i32) (i32.const 0)) (global (export "g2") (mut i32) (i32.const 0))
		(func $other (type $o) (i32.const 5)) (func $over (type $t) (i32.const -1))
		(table $a ` + fmt.Sprint(2*n+5) + ` funcref) (table $b ` + fmt.Sprint(n+3) + ` funcref)
		(func (export "a") (param i32) (result i32) (call_indirect $a (type $t) (local.get 0)))
		(func (export "b") (param i32) (result i32)
			(i32.add (i32.mul (i32.const 10000) (call_indirect $b (type $t) (local.get 0))) (call_indirect $b (type $t) (local.get 0))))
		(func (export "o") (param i32) (result i32) (call_indirect $b (type $o) (i64.const 1) (local.get 0)))`)
	b.WriteString(`(func (export "many") (param i32) (result i32) (i32.const 0)` +
		strings.Repeat("(i32.add (call_indirect $a (type $t) (local.get 0)))", 40) + ")")
	for i := range n {
		fmt.Fprintf(&b, "(func $%d (type $t) (i32.const %d)) (elem (table $a) (i32.const %d) func $%d)", i, i, 2*i+3, i)
	}
	b.WriteString("(elem (table $b) (i32.const 1) func")
	for i := range n {
		fmt.Fprintf(&b, " $%d", i)
	}
	b.WriteString(`) (elem (table $b) (i32.const 4) funcref (ref.func $over) (ref.null func) (ref.func $other))
		(elem (table $b) (i32.const 4) func $3))`)
	return b.String()
}

// A table that is filled when it is called through gives and refuses what it would
// if it was full from the start, the first time and later.
func TestLazyTables(t *testing.T) {
	t.Parallel()
	for _, n := range []int{7, 64, 65, 130, 5000} {
		if n > 1000 && testing.Short() {
			continue
		}
		binary := wat.Must(manyTables(n))
		eager, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true})
		require.NoError(t, err)
		lazy, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, Capture: true, LazyTables: 7})
		require.NoError(t, err)
		assert.Empty(t, lazy.Unresettable)
		for engine, config := range runtimeConfigs() {
			t.Run(fmt.Sprintf("%d/%s", n, engine), func(t *testing.T) {
				t.Parallel()
				ctx := context.Background()
				r := newRuntime(t, config)
				want, err := instantiate(ctx, r, eager.Binary, eager.Guard)
				require.NoError(t, err)
				got, err := instantiate(ctx, r, lazy.Binary, lazy.Guard)
				require.NoError(t, err)
				traps := 0
				for range 2 {
					for _, export := range []string{"a", "b", "o", "many"} {
						for _, i := range indices(2*n + 9) {
							w, wantErr := want.call(ctx, export, i)
							g, gotErr := got.call(ctx, export, i)
							require.Equal(t, w, g, "%s(%d)", export, i)
							require.Equal(t, firstLine(wantErr), firstLine(gotErr), "%s(%d)", export, i)
							if wantErr != nil {
								traps++
							}
						}
					}
				}
				assert.Greater(t, traps, 2*n)
			})
		}
	}
}

// indices are those below n, and some that no table has.
func indices(n int) []uint64 {
	var all []uint64
	for i := range n {
		all = append(all, uint64(i))
	}
	return append(all, 1<<16, 1<<31-1, 1<<31, 1<<32-1)
}

// What is added to a table's module stays in proportion, and branches do not nest.
func TestLazyTablesAreSmall(t *testing.T) {
	t.Parallel()
	const n = 20_000
	binary := wat.Must("(module (table 20000 funcref) (func $f) (elem (i32.const 0)" + strings.Repeat(" $f", n) + "))")
	lazy, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, LazyTables: rewrite.ManyElements})
	require.NoError(t, err)
	assert.Less(t, len(lazy.Binary), 20*n)
	work, err := rewrite.Weigh(binary)
	require.NoError(t, err)
	assert.Greater(t, work, n*10*time.Microsecond)
}

// Who is asked for more elements than that does not get them.
func TestTooManyElements(t *testing.T) {
	t.Parallel()
	binary := wat.Must("(module (table 70000 funcref) (func $f) (elem (i32.const 0)" + strings.Repeat(" $f", 70_000) + "))")
	eager, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true})
	require.NoError(t, err)
	lazy, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, LazyTables: 1})
	require.NoError(t, err)
	assert.Equal(t, eager, lazy)
}
