package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// trapping are bodies that trap, by the kind of their trap. They may use a
// memory of one page, tables and segments, see trapFields.
func trapping() map[engine.TrapKind][]string {
	return map[engine.TrapKind][]string{
		engine.TrapUnreachable: {
			"unreachable",
			"(if (i32.const 1) (then (unreachable)))",
		},
		engine.TrapMemoryOutOfBounds: {
			"(drop (i32.load (i32.const 65533)))",
			"(drop (i32.load8_u (i32.const 65536)))",
			"(drop (i64.load (i32.const -1)))",
			"(drop (i32.load offset=0xffffffff (i32.const -1)))",
			"(i32.store (i32.const 65533) (i32.const 1))",
			"(i64.store offset=65529 (i32.const 0) (i64.const 1))",
			"(f64.store (i32.const 0x7fffffff) (f64.const 1))",
			"(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))",
			"(memory.fill (i32.const 65537) (i32.const 1) (i32.const 0))",
			"(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7))",
			"(memory.copy (i32.const -1) (i32.const 0) (i32.const -1))",
			"(memory.init $d (i32.const 0) (i32.const 0) (i32.const 4))",
			"(memory.init $d (i32.const 65534) (i32.const 0) (i32.const 3))",
			"(data.drop $d) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))",
		},
		engine.TrapTableAccess: {
			"(call_indirect (i32.const 4))",
			"(call_indirect (i32.const -1))",
			"(call_indirect (i32.const 3))",
			"(drop (table.get $t (i32.const 4)))",
			"(table.set $t (i32.const 4) (ref.null func))",
			"(table.fill $t (i32.const 3) (ref.null func) (i32.const 2))",
			"(table.copy $t $t (i32.const 0) (i32.const 3) (i32.const 2))",
			"(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 2))",
			"(elem.drop $e) (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))",
		},
		engine.TrapIndirectCallType: {
			"(call_indirect (param i32) (i32.const 7) (i32.const 0))",
			"(drop (call_indirect (result i64) (i32.const 0)))",
		},
		engine.TrapDivideByZero: {
			"(drop (i32.div_s (i32.const 1) (i32.const 0)))",
			"(drop (i32.div_u (i32.const 1) (i32.const 0)))",
			"(drop (i32.rem_s (i32.const 1) (i32.const 0)))",
			"(drop (i32.rem_u (i32.const 1) (i32.const 0)))",
			"(drop (i64.div_s (i64.const 1) (i64.const 0)))",
			"(drop (i64.div_u (i64.const 1) (i64.const 0)))",
			"(drop (i64.rem_s (i64.const 1) (i64.const 0)))",
			"(drop (i64.rem_u (i64.const 1) (i64.const 0)))",
		},
		engine.TrapIntegerOverflow: {
			"(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
			"(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))",
			"(drop (i32.trunc_f32_s (f32.const 2147483648)))",
			"(drop (i32.trunc_f64_u (f64.const -1)))",
			"(drop (i64.trunc_f64_s (f64.const inf)))",
			"(drop (i64.trunc_f32_u (f32.const -inf)))",
		},
		engine.TrapBadConversion: {
			"(drop (i32.trunc_f32_s (f32.const nan)))",
			"(drop (i32.trunc_f64_u (f64.const -nan)))",
			"(drop (i64.trunc_f32_u (f32.const nan:0x1)))",
			"(drop (i64.trunc_f64_s (f64.const nan)))",
		},
	}
}

const trapFields = `(memory 1) (table $t 4 funcref) (data $d "abc") (elem $e func $g)
	(elem (i32.const 0) $g $g $g) (func $g)
	(func $f (export "f") %s)`

func testTraps(t *testing.T, e *env) { eachTrap(t, e, trapFields) }

func testStartTraps(t *testing.T, e *env) { eachTrap(t, e, trapFields+"(start $f)") }

func eachTrap(t *testing.T, e *env, fields string) {
	traps := trapping()
	for _, kind := range slices.Sorted(maps.Keys(traps)) {
		for _, body := range traps[kind] {
			e.hostile(t, body, func(t *testing.T) {
				requireTrap(t, kind, e.outcome(t.Context(), t, fmt.Sprintf(fields, body)))
			})
		}
	}
}

func requireTrap(t *testing.T, want engine.TrapKind, err error) {
	t.Helper()
	trap, ok := errors.AsType[*engine.TrapError](err)
	require.True(t, ok, "outcome = %v, want a TrapError", err)
	assert.Equal(t, want, trap.Kind)
}

// testNoTraps has what an engine might take for a trap.
func testNoTraps(t *testing.T, e *env) {
	for _, body := range []string{
		"(drop (i32.rem_s (i32.const 0x80000000) (i32.const -1)))",
		"(drop (i64.rem_s (i64.const 0x8000000000000000) (i64.const -1)))",
		"(drop (i32.trunc_sat_f32_s (f32.const nan)))",
		"(drop (i64.trunc_sat_f64_u (f64.const -inf)))",
		"(drop (f64.div (f64.const 1) (f64.const 0)))",
		"(drop (i32.load (i32.const 65532)))",
		"(memory.fill (i32.const 65536) (i32.const 1) (i32.const 0))",
		"(memory.init $d (i32.const 65536) (i32.const 3) (i32.const 0))",
		"(table.init $t $e (i32.const 4) (i32.const 1) (i32.const 0))",
		"(data.drop $d) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))",
		"(call_indirect (i32.const 2))",
		"(if (i32.const 0) (then (unreachable)))",
	} {
		t.Run(body, func(t *testing.T) {
			require.NoError(t, e.outcome(t.Context(), t, fmt.Sprintf(trapFields, body)))
		})
	}
}

func testStackOverflow(t *testing.T, e *env) {
	for name, fields := range map[string]string{
		"of a small function": `(func $f (export "f") (call $f) (call $f))`,
		"of two functions":    `(func $f (export "f") (call $g) (call $g)) (func $g (call $f) (call $f))`,
		"through a table":     `(table funcref (elem $f)) (func $f (export "f") (call_indirect (i32.const 0)) (call $f))`,
		"through a large table": "(table funcref (elem" + strings.Repeat(" $f", tableElements) + "))" +
			`(func $f (export "f") (call_indirect (i32.const 7)) (call_indirect (i32.const 8)))`,
		"of a large function": `(func $f (export "f") ` + largeFrame + `)`,
		"in a start function": `(func $f (export "f") (call $f) (call $f)) (start $f)`,
	} {
		e.hostile(t, name, func(t *testing.T) {
			requireTrap(t, engine.TrapStackOverflow, e.outcome(t.Context(), t, fields))
		})
	}
	t.Run("but not to an ordinary depth", func(t *testing.T) {
		instance := e.instance(t, `(func $f (export "f") (param i32) (result i32)
			(if (result i32) (local.get 0)
				(then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
				(else (i32.const 0))))`)
		assert.EqualValues(t, 1000, call(t, instance, "f", 1000))
	})
}

// testTrapDetail has long names in a guest's stack.
func testTrapDetail(t *testing.T, e *env) {
	const names = `\01\c5\b8\02\01\00\c0\b8\02` // the names of functions: one, of function 0, of 40,000 bytes
	_, err := e.instance(t, `(memory (export "m") 1)
		(func $f (export "f") (param i32)
			(if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else unreachable)))
		(@custom "name" "`+names+strings.Repeat("n", 40_000)+`")`).Call(t.Context(), "f", 30)
	trap, ok := errors.AsType[*engine.TrapError](err)
	require.True(t, ok, "Call = %v", err)
	assert.Equal(t, engine.TrapUnreachable, trap.Kind)
	assert.LessOrEqual(t, len(trap.Detail), 4<<10)
}

// largeFrame is the body of a function $f that has many values to keep over its
// recursion.
const largeFrame = `
	(local $x0 i64) (local $x1 i64) (local $x2 i64) (local $x3 i64)
	(local $x4 i64) (local $x5 i64) (local $x6 i64) (local $x7 i64)
	i64.const 1 local.set $x0 i64.const 2 local.set $x1 i64.const 3 local.set $x2 i64.const 4 local.set $x3
	call $f
	(drop (i64.add (i64.add (local.get $x0) (local.get $x1)) (i64.add (local.get $x2) (local.get $x3))))
	(drop (i64.add (i64.add (local.get $x4) (local.get $x5)) (i64.add (local.get $x6) (local.get $x7))))`

func testHostErrors(t *testing.T, e *env) {
	for name, fields := range map[string]string{
		"called":            `(func (export "f") call $fail)`,
		"called deep down":  `(func $g (param i32) (if (local.get 0) (then (call $g (i32.sub (local.get 0) (i32.const 1)))) (else (call $fail)))) (func (export "f") (call $g (i32.const 500)))`,
		"called in a loop":  `(func (export "f") (loop (call $fail) (br 0)))`,
		"called by a table": `(table funcref (elem $fail)) (func (export "f") (call_indirect (i32.const 0)))`,
		"at start":          `(func $f (export "f") call $fail) (start $f)`,
		"as start":          `(func (export "f")) (start $fail)`,
		"as export":         `(export "f" (func $fail))`,
	} {
		e.hostile(t, name, func(t *testing.T) {
			err := e.outcome(t.Context(), t, imports+fields)
			assert.True(t, err == errHost, "outcome = %v, want the very error of the host function", err) //nolint:errorlint // unchanged, not wrapped
		})
	}
}

// testHostPanics has a nil pointer followed below the frames of a guest, which
// may have its own way with the same signal.
func testHostPanics(t *testing.T, e *env) {
	for name, fields := range map[string]string{
		"called":   `(func (export "f") call $panic)`,
		"at start": `(func $f (export "f") call $panic) (start $f)`,
	} {
		e.hostile(t, name, func(t *testing.T) {
			err := e.outcome(t.Context(), t, imports+fields)
			require.ErrorContains(t, err, "host function panicked")
			_, trap := errors.AsType[*engine.TrapError](err)
			_, invalid := errors.AsType[*engine.InvalidModuleError](err)
			assert.False(t, trap || invalid, "%v is a fault of ours, not of the guest's developer", err)
		})
	}
}

func testExit(t *testing.T, e *env) {
	for _, code := range []uint32{0, 1, 2, 126, 255, 256, 1 << 31, 1<<32 - 1} {
		for place, fields := range map[string]string{
			"from a call":  `(func $f (export "f") (call $exit (i32.const %d)) unreachable)`,
			"at the start": `(func $f (export "f") (call $exit (i32.const %d)) unreachable) (start $f)`,
		} {
			e.hostile(t, fmt.Sprintf("%d %s", code, place), func(t *testing.T) {
				err := e.outcome(t.Context(), t, imports+fmt.Sprintf(fields, code))
				exit, ok := errors.AsType[*engine.ExitError](err)
				require.True(t, ok, "outcome = %v, want an ExitError", err)
				assert.Equal(t, code, exit.Code)
			})
		}
	}
}
