package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

const growing = `(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
	(func (export "size") (result i32) memory.size)
	(func (export "store") (param i32) (i32.store8 (local.get 0) (i32.const 1)))
	(func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))`

func testMemoryCap(t *testing.T, e *env) {
	const limit = 3
	for memory, most := range map[string]int32{
		"(memory 1)":         limit,
		"(memory 0)":         limit,
		"(memory 3)":         limit,
		"(memory 1 3)":       limit,
		"(memory 1 4)":       limit,
		"(memory 1 0x10000)": limit,
		"(memory 1 2)":       2,
		"(memory 2 2)":       2,
	} {
		e.hostile(t, memory, func(t *testing.T) {
			instance := e.limited(t, memory+growing, engine.Limits{MemoryPages: limit})
			size := call(t, instance, "size")
			for _, tooMuch := range []uint64{uint64(most-size) + 1, 0xffff, 0x10000, 1 << 31, 1<<32 - 1} {
				assert.EqualValues(t, -1, call(t, instance, "grow", tooMuch), "grow %d pages by %d", size, tooMuch)
			}
			assert.Equal(t, size, call(t, instance, "grow", uint64(most-size)), "grow %d pages to %d", size, most)
			assert.EqualValues(t, -1, call(t, instance, "grow", 1), "grow beyond %d", most)
			assert.Equal(t, most, call(t, instance, "grow", 0), "grow by nothing")
			assert.Equal(t, most, call(t, instance, "size"))
		})
	}
	t.Run("of each instance", func(t *testing.T) {
		m := e.module(t, "(memory 1)"+growing)
		for _, pages := range []uint32{1, 2, 7} {
			instance := instantiate(t, m, engine.Limits{MemoryPages: pages})
			assert.EqualValues(t, 1, call(t, instance, "grow", uint64(pages-1)))
			assert.EqualValues(t, -1, call(t, instance, "grow", 1))
		}
		assert.EqualValues(t, 1, call(t, instantiate(t, m, engine.Limits{}), "grow", 100))
	})
}

func testMemoryTooLarge(t *testing.T, e *env) {
	for _, memory := range []string{"(memory 4)", "(memory 4 4)", "(memory 0x10000)", `(memory (export "m") 4)`} {
		e.hostile(t, memory, func(t *testing.T) {
			m := e.module(t, memory+`(func (export "f"))`)
			_, err := m.Instantiate(t.Context(), engine.Limits{MemoryPages: 3})
			limit, ok := errors.AsType[*engine.LimitError](err)
			require.True(t, ok, "Instantiate = %v, want a LimitError", err)
			assert.EqualValues(t, 3, limit.Limit)
			assert.Equal(t, "pages", limit.Unit)
			assert.Equal(t, "memory", limit.What)
		})
	}
}

// testMemoryBounds reads and writes the last byte and the one after it, before
// and after growth.
func testMemoryBounds(t *testing.T, e *env) {
	m := e.module(t, "(memory 1)"+growing)
	for grow := range uint64(3) {
		end := (grow + 1) * engine.PageSize
		instance := instantiate(t, m, engine.Limits{MemoryPages: 3})
		call(t, instance, "grow", grow)
		_, err := instance.Call(t.Context(), "store", end-1)
		require.NoError(t, err)
		assert.EqualValues(t, 1, call(t, instance, "load", end-1))
		_, err = instance.Call(t.Context(), "load", end)
		requireTrap(t, engine.TrapMemoryOutOfBounds, err)
		instance = instantiate(t, m, engine.Limits{MemoryPages: 3})
		call(t, instance, "grow", grow)
		_, err = instance.Call(t.Context(), "store", end)
		requireTrap(t, engine.TrapMemoryOutOfBounds, err)
	}
}

func testMemoryView(t *testing.T, e *env) {
	instance := e.limited(t, `(memory (export "m") 1) (data (i32.const 8) "\01\02\03")`+growing, engine.Limits{MemoryPages: 3})
	memory := instance.Memory()
	require.Len(t, memory, engine.PageSize)
	assert.Equal(t, []byte{0, 1, 2, 3, 0}, []byte(memory[7:12]), "data of the module")

	memory[100] = 42
	assert.EqualValues(t, 42, call(t, instance, "load", 100), "what the host wrote")
	_, err := instance.Call(t.Context(), "store", 200)
	require.NoError(t, err)
	assert.EqualValues(t, 1, instance.Memory()[200], "what the guest wrote")

	assert.EqualValues(t, 1, call(t, instance, "grow", 2))
	grown := instance.Memory()
	require.Len(t, grown, 3*engine.PageSize)
	assert.EqualValues(t, 42, grown[100], "after growth")
	grown[3*engine.PageSize-1] = 7
	assert.EqualValues(t, 7, call(t, instance, "load", 3*engine.PageSize-1))

	for _, fields := range []string{`(func (export "f"))`, `(memory 1)`} {
		assert.Empty(t, e.instance(t, fields).Memory(), "memory of %s, which exports none", fields)
	}
	assert.Empty(t, e.instance(t, `(memory (export "m") 0)`).Memory())
}

const tableCap = 10

func testTableCap(t *testing.T, e *env) {
	for table, most := range map[string]int32{
		"(table $t 1 funcref)":                                       tableCap,
		"(table $t 0 funcref)":                                       tableCap,
		"(table $t 10 funcref)":                                      tableCap,
		"(table $t 1 10 funcref)":                                    tableCap,
		"(table $t 1 11 funcref)":                                    tableCap,
		"(table $t 1 0xffffffff funcref)":                            tableCap,
		"(table $t 1 9 funcref)":                                     9,
		"(table 1 externref) (table $t 2 funcref) (table 3 funcref)": tableCap,
	} {
		e.hostile(t, table, func(t *testing.T) {
			e.testTable(t, table, "func", most)
		})
	}
	e.hostile(t, "of external references", func(t *testing.T) {
		e.testTable(t, "(table funcref (elem)) (table $t 1 externref)", "extern", tableCap)
	})
}

func (e *env) testTable(t *testing.T, table, null string, most int32) {
	t.Helper()
	instance := e.instance(t, table+fmt.Sprintf(`
		(func (export "grow") (param i32) (result i32) (table.grow $t (ref.null %s) (local.get 0)))
		(func (export "size") (result i32) (table.size $t))`, null))
	size := call(t, instance, "size")
	for _, tooMuch := range []uint64{uint64(most-size) + 1, 1 << 20, 1 << 31, 1<<32 - 1} {
		assert.EqualValues(t, -1, call(t, instance, "grow", tooMuch), "grow %d elements by %d", size, tooMuch)
	}
	assert.Equal(t, size, call(t, instance, "grow", uint64(most-size)), "grow %d elements to %d", size, most)
	assert.EqualValues(t, -1, call(t, instance, "grow", 1), "grow beyond %d", most)
	assert.Equal(t, most, call(t, instance, "size"))
}

func testTableTooLarge(t *testing.T, e *env) {
	for _, table := range []string{
		"(table 11 funcref)",
		"(table 11 11 funcref)",
		"(table 1 funcref) (table 11 externref)",
		"(table 0x7ffffff funcref)",
		"(table 0xffffffff funcref)",
	} {
		e.hostile(t, table, func(t *testing.T) {
			requireRefused(t, e.linked(t, table))
		})
	}
}

// requireRefused wants an error that is the module's fault.
func requireRefused(t *testing.T, err error) {
	t.Helper()
	_, invalid := errors.AsType[*engine.InvalidModuleError](err)
	_, tooMuch := errors.AsType[*engine.LimitError](err)
	require.True(t, invalid || tooMuch, "got %v, want an InvalidModuleError or a LimitError", err)
}

func testTableDefault(t *testing.T, e *env) {
	instance := e.instance(t, `(table 1 funcref)
		(func (export "grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))`)
	assert.EqualValues(t, -1, call(t, instance, "grow", engine.DefaultTableElements))
	assert.EqualValues(t, 1, call(t, instance, "grow", 20_000))
	assert.EqualValues(t, -1, call(t, instance, "grow", engine.DefaultTableElements-20_000))
}

// testIsolation has a guest tell its whole state and then change it.
func testIsolation(t *testing.T, e *env) {
	m := e.module(t, isolated)
	var first []uint64
	for i := range 20 {
		instance := instantiate(t, m, engine.Limits{})
		state, err := instance.Call(t.Context(), "state")
		require.NoError(t, err)
		if first == nil {
			first = state
		}
		assert.Equal(t, first, state, "state of instance %d", i)
		_, err = instance.Call(t.Context(), "change")
		require.NoError(t, err)
		changed, err := instance.Call(t.Context(), "state")
		require.NoError(t, err)
		for j := range changed {
			assert.NotEqual(t, first[j], changed[j], "value %d of the state after its change", j)
		}
		instance.Memory()[1000+i] = 0xff
		for _, b := range instance.Memory()[1000 : 1000+i] {
			require.Zero(t, b, "memory of instance %d", i)
		}
	}
}

// isolated tells of a global, a word of data, fresh memory, the size of the
// memory, a table's element and its size.
const isolated = `(memory (export "m") 1) (data (i32.const 0) "\01\02\03\04")
	(global $g (mut i64) (i64.const 7)) (table $t 2 funcref) (elem (i32.const 1) $x)
	(func $x)
	(func (export "state") (result i64 i32 i32 i32 i32 i32)
		global.get $g (i32.load (i32.const 0)) (i32.load (i32.const 65000)) memory.size
		(ref.is_null (table.get $t (i32.const 0))) (table.size $t))
	(func (export "change")
		(global.set $g (i64.const 8)) (i32.store (i32.const 0) (i32.const 9)) (i32.store (i32.const 65000) (i32.const 9))
		(drop (memory.grow (i32.const 1))) (table.set $t (i32.const 0) (ref.func $x))
		(drop (table.grow $t (ref.null func) (i32.const 1))))`

// testConcurrency runs a hundred instances that each keep their input in
// memory, a global, a table's index and the stack, and give way in between.
func testConcurrency(t *testing.T, e *env) {
	m := e.module(t, imports+mixing)
	const instances, rounds = 100, 20
	errs := atOnce(instances, func(i int) error {
		instance, err := m.Instantiate(t.Context(), engine.Limits{})
		if err != nil {
			return err
		}
		closeAtEnd(t, instance)
		binary.LittleEndian.PutUint64(instance.Memory()[8:], uint64(i))
		results, err := instance.Call(t.Context(), "f", uint64(i), rounds)
		if err != nil {
			return err
		}
		if want := uint64(rounds * 3 * i); results[0] != want {
			return fmt.Errorf("instance %d gave %d, want %d", i, results[0], want)
		}
		return nil
	})
	assert.NoError(t, errors.Join(errs...))
}

const mixing = `(memory (export "m") 1) (global $g (mut i64) (i64.const 0))
	(func (export "f") (param $x i64) (param $rounds i32) (result i64) (local $sum i64)
		(global.set $g (local.get $x))
		(loop $again
			(local.set $sum (i64.add (local.get $sum) (call $yield (i64.load (i32.const 8)))))
			(local.set $sum (i64.add (local.get $sum) (call $yield (global.get $g))))
			(local.set $sum (i64.add (local.get $sum) (call $yield (local.get $x))))
			(br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
		(local.get $sum))`

// testIdleInstances has instances wait until there is no room for more, and again
// when they have gone.
func testIdleInstances(t *testing.T, e *env) {
	config := e.config
	config.IdleBytes, config.CheckResets = 200<<10, false // which reads all pages, so that they take RAM
	m, err := e.with(t, config).Compile(t.Context(), wat.Must(`(module (memory (export "m") 1)
		(func (export "change") (i32.store (i32.const 0) (i32.const 9)) (i32.store (i32.const 65000) (i32.const 9))))`))
	require.NoError(t, err)
	closeAtEnd(t, m)
	for range 2 {
		waiting := idle(t, m)
		if waiting == nil {
			return
		}
		assert.Greater(t, len(waiting), 1, "instances that wait")
		for _, instance := range waiting {
			require.NoError(t, instance.Close(t.Context()))
		}
	}
}

// idle resets instances until one cannot be; nil of an engine that resets none. The
// last is that one.
func idle(t *testing.T, m engine.Module) (all []engine.Instance) {
	t.Helper()
	for range 100 {
		instance, err := m.Instantiate(t.Context(), engine.Limits{})
		require.NoError(t, err)
		all = append(all, instance)
		_, err = instance.Call(t.Context(), "change")
		require.NoError(t, err)
		r, ok := instance.(engine.Resetter)
		if !ok {
			require.NoError(t, instance.Close(t.Context()))
			return nil
		}
		if r.Reset() != nil {
			return all
		}
	}
	require.Fail(t, "all of 100 instances wait")
	return nil
}

// testIdleBytes has an engine that may keep nothing serve all the same.
func testIdleBytes(t *testing.T, e *env) {
	config := e.config
	config.IdleBytes = 1
	m, err := e.with(t, config).Compile(t.Context(), wat.Must(isolated))
	require.NoError(t, err)
	closeAtEnd(t, m)
	for range 3 {
		instance, err := m.Instantiate(t.Context(), engine.Limits{})
		require.NoError(t, err)
		_, err = instance.Call(t.Context(), "change")
		require.NoError(t, err)
		require.NoError(t, instance.Close(t.Context()))
	}
	testIdleInstances(t, e)
	config.IdleBytes = -1
	rt, err := e.open(t.Context(), config)
	if err == nil {
		closeAtEnd(t, rt)
	}
	assert.Error(t, err, "open with less than nothing")
}
