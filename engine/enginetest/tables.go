package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// tableElements is more than any engine fills a table with without a second thought.
const tableElements = 1000

// largeTable has a table whose every second element from 4 on is a function that
// gives the index, but for one of another type, and "at" to call through it.
func largeTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, `(type $gives (func (result i32))) (memory (export "memory") 1) (table %d funcref)
		(global $calls (mut i32) (i32.const 0))
		(func (export "init"))
		(func (export "at") (param i32) (result i32)
			(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
			(i32.store8 (local.get 0) (i32.const 1))
			(call_indirect (type $gives) (local.get 0)))
		(func (export "calls") (result i32) (global.get $calls))
		(func $other (param i32)) (elem (i32.const 0) $other)`, 2*tableElements+10)
	for i := range tableElements {
		fmt.Fprintf(&b, "(func $%d (type $gives) (i32.const %d)) (elem (i32.const %d) $%d)", i, 2*i+4, 2*i+4, i)
	}
	return b.String()
}

// testLargeTables calls through a table whose elements an engine need not make before
// they are called through.
func testLargeTables(t *testing.T, e *env) {
	m := e.module(t, largeTable())
	everyElement(t, instantiate(t, m, engine.Limits{}))
	if _, ok := m.(engine.Snapshotter); !ok {
		return
	}
	_, snapshot := initialised(t, m.(engine.Snapshotter))
	instance := restore(t, m.(engine.Snapshotter), snapshot)
	reset, resets := instance.(engine.Resetter)
	for range 20 {
		i := uint64(4 + 2*rand.IntN(tableElements))
		assert.EqualValues(t, i, call(t, instance, "at", i))
		assert.EqualValues(t, 1, call(t, instance, "calls"))
		if !resets {
			instance = restore(t, m.(engine.Snapshotter), snapshot)
			continue
		}
		require.NoError(t, reset.Reset())
		assert.NotContains(t, instance.Memory(), byte(1))
	}
	everyElement(t, instance)
}

// everyElement calls through all of the table, and a bit more.
func everyElement(t *testing.T, instance engine.Instance) {
	t.Helper()
	for i := range uint64(2*tableElements + 12) {
		switch _, err := instance.Call(t.Context(), "at", i); {
		case i == 0:
			requireTrap(t, engine.TrapIndirectCallType, err)
		case i >= 4 && i%2 == 0 && i < 2*tableElements+4:
			require.NoError(t, err)
			require.EqualValues(t, i, call(t, instance, "at", i))
		default:
			requireTrap(t, engine.TrapTableAccess, err)
		}
	}
}
