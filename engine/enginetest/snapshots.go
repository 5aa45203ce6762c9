package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// stateful keeps state of every kind that a snapshot holds, over a memory of so
// many pages of which data fills a part. "dirty" changes all of it, wherever its
// argument says; "sum" tells it.
func stateful(pages int) string {
	return fmt.Sprintf(imports+`(memory (export "memory") %d 200)
	(global $i (mut i32) (i32.const 7)) (global $l (mut i64) (i64.const 8))
	(global $f (mut f32) (f32.const 1.5)) (global $d (mut f64) (f64.const 2.5))
	(data (i32.const 65530) "first") (data (i32.const 100) "second")
	(table 2 funcref)
	(func $start (global.set $i (i32.const 70)) (i32.store (i32.const 5000) (i32.const 1234))) (start $start)
	(func (export "init") (i32.store (i32.const 300) (i32.const 99)) (global.set $l (i64.const 80)))
	(func $write (param $at i32)
		(i32.store (i32.and (local.get $at) (i32.const 0xfffc)) (local.get $at))
		(i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get $at))
		(global.set $i (local.get $at)) (global.set $l (i64.extend_i32_u (local.get $at)))
		(global.set $f (f32.const 9)) (global.set $d (f64.const 9)))
	(func (export "dirty") (param i32) (call $write (local.get 0)))
	(func (export "exit") (param i32) (call $write (local.get 0)) (call $exit (i32.const 0)))
	(func (export "grow") (param i32) (result i32) (call $write (local.get 0)) (memory.grow (i32.const 1)))
	(func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
	(func (export "sum") (result i32)
		(i32.add (i32.add (global.get $i) (i32.wrap_i64 (global.get $l)))
			(i32.add (i32.trunc_f32_s (global.get $f)) (i32.trunc_f64_s (global.get $d)))))`, pages)
}

// snapshotter skips engines without snapshots.
func snapshotter(t *testing.T, m engine.Module) engine.Snapshotter {
	t.Helper()
	s, ok := m.(engine.Snapshotter)
	if !ok {
		t.Skip("this engine has no snapshots")
	}
	return s
}

// initialised is an instance after its start-up, and a snapshot of it.
func initialised(t *testing.T, m engine.Snapshotter) (engine.Instance, engine.Snapshot) {
	t.Helper()
	first := instantiate(t, m, engine.Limits{})
	_, err := first.Call(t.Context(), "init")
	require.NoError(t, err)
	snapshot, err := m.Capture(first)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, snapshot.Close()) })
	return first, snapshot
}

func restore(t *testing.T, m engine.Snapshotter, from engine.Snapshot) engine.Instance {
	t.Helper()
	instance, err := m.Restore(t.Context(), from, engine.Limits{})
	require.NoError(t, err)
	closeAtEnd(t, instance)
	return instance
}

// testSnapshots holds for memories that are put back whole and for such that are
// put back page by page.
func testSnapshots(t *testing.T, e *env) {
	for _, pages := range []int{2, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			m := snapshotter(t, e.module(t, stateful(pages)))
			first, snapshot := initialised(t, m)
			want := bytes.Clone(first.Memory())

			_, err := first.Call(t.Context(), "dirty", 12345)
			require.NoError(t, err)
			for range 3 {
				one := restore(t, m, snapshot)
				assert.True(t, bytes.Equal(want, one.Memory()), "memory of an instance from a snapshot")
				assert.EqualValues(t, 70+80+1+2, call(t, one, "sum"))
				_, err := one.Call(t.Context(), "dirty", 54321)
				require.NoError(t, err)
				require.NoError(t, one.Close(t.Context()))
			}
		})
	}
}

// testResets compares whole memories after every reset.
func testResets(t *testing.T, e *env) {
	for _, pages := range []int{2, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			m := snapshotter(t, e.module(t, stateful(pages)))
			first, snapshot := initialised(t, m)
			want := bytes.Clone(first.Memory())
			instance := restore(t, m, snapshot)
			reset, ok := instance.(engine.Resetter)
			if !ok {
				t.Skip("this engine resets no instances")
			}
			for range 200 {
				export := []string{"dirty", "exit"}[rand.IntN(2)]
				_, err := instance.Call(t.Context(), export, uint64(rand.Uint32()))
				require.Equal(t, export == "exit", err != nil, "%s: %v", export, err)
				require.NoError(t, reset.Reset())
				require.True(t, bytes.Equal(want, instance.Memory()), "memory after a reset")
				require.EqualValues(t, 70+80+1+2, call(t, instance, "sum"))
			}
		})
	}
}

// testAdoption has instances stay what they were when they were captured.
func testAdoption(t *testing.T, e *env) {
	for _, pages := range []int{2, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			m := snapshotter(t, e.module(t, stateful(pages)))
			instance := instantiate(t, m, engine.Limits{})
			_, err := instance.Call(t.Context(), "dirty", 12345)
			require.NoError(t, err)
			snapshot, err := m.Capture(instance)
			require.NoError(t, err)
			defer snapshot.Close()
			adopter, ok := snapshot.(engine.Adopter)
			if !ok {
				t.Skip("this engine adopts no instances")
			}
			want, sum := bytes.Clone(instance.Memory()), call(t, restore(t, m, snapshot), "sum")
			require.NoError(t, adopter.Adopt(instance))
			for range 20 {
				require.True(t, bytes.Equal(want, instance.Memory()), "memory of an adopted instance")
				require.Equal(t, sum, call(t, instance, "sum"))
				_, err := instance.Call(t.Context(), "dirty", uint64(rand.Uint32()))
				require.NoError(t, err)
				require.NoError(t, instance.(engine.Resetter).Reset())
			}
		})
	}
}

// testSnapshotsOfEndedCalls takes the state of instances whose last call a host
// function ended.
func testSnapshotsOfEndedCalls(t *testing.T, e *env) {
	m := snapshotter(t, e.module(t, stateful(40)))
	first := instantiate(t, m, engine.Limits{})
	_, err := first.Call(t.Context(), "exit", 12345)
	require.Error(t, err)
	want := bytes.Clone(first.Memory())
	snapshot, err := m.Capture(first)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, snapshot.Close()) })
	for range 2 {
		instance := restore(t, m, snapshot)
		require.True(t, bytes.Equal(want, instance.Memory()), "memory of an instance from a snapshot")
		require.EqualValues(t, 12345+12345+9+9, call(t, instance, "sum"))
		_, err := instance.Call(t.Context(), "dirty", 54321)
		require.NoError(t, err)
	}
}

// testResetAfterGrowth lets an engine refuse to put back a memory that has grown.
// One that does it gives the guest the memory that it started with, and nothing
// beyond.
func testResetAfterGrowth(t *testing.T, e *env) {
	for _, pages := range []int{2, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			m := snapshotter(t, e.module(t, stateful(pages)))
			first, snapshot := initialised(t, m)
			want := bytes.Clone(first.Memory())
			instance := restore(t, m, snapshot)
			reset, ok := instance.(engine.Resetter)
			if !ok {
				t.Skip("this engine resets no instances")
			}
			for range 3 {
				growAndWrite(t, instance, pages)
				if reset.Reset() != nil {
					instance = restore(t, m, snapshot)
					growAndWrite(t, instance, pages)
					return
				}
				require.True(t, bytes.Equal(want, instance.Memory()), "memory after a reset")
				require.EqualValues(t, 70+80+1+2, call(t, instance, "sum"))
			}
			_, err := instance.Call(t.Context(), "load", uint64(pages)*engine.PageSize)
			requireTrap(t, engine.TrapMemoryOutOfBounds, err)
		})
	}
}

// growAndWrite grows a memory of so many pages by one, finds nothing there, and
// leaves something.
func growAndWrite(t *testing.T, instance engine.Instance, pages int) {
	t.Helper()
	require.EqualValues(t, pages, call(t, instance, "grow", 7))
	require.Len(t, instance.Memory(), (pages+1)*engine.PageSize)
	for _, b := range instance.Memory()[pages*engine.PageSize:] {
		require.Zero(t, b, "what a guest grows into")
	}
	_, err := instance.Call(t.Context(), "dirty", 99)
	require.NoError(t, err)
}

// testResetAfterLargestGrowth has memories grow as far as they may.
func testResetAfterLargestGrowth(t *testing.T, e *env) {
	m := snapshotter(t, e.module(t, stateful(2)))
	_, snapshot := initialised(t, m)
	for range 3 {
		instance, err := m.Restore(t.Context(), snapshot, engine.Limits{MemoryPages: 3})
		require.NoError(t, err)
		closeAtEnd(t, instance)
		growAndWrite(t, instance, 2)
		if reset, ok := instance.(engine.Resetter); ok && reset.Reset() == nil {
			growAndWrite(t, instance, 2)
		}
	}
}

// testUncapturable has modules whose state is more than memory and globals.
func testUncapturable(t *testing.T, e *env) {
	for name, fields := range map[string]string{
		"tables are written": `(table 2 funcref) (func (export "f") (table.set (i32.const 0) (ref.null func)))`,
		"tables grow":        `(table $t 0 9 funcref) (func (export "f") (drop (table.grow $t (ref.null func) (i32.const 1))))`,
		"data is dropped": `(memory 1) (data $d "abc") (func (export "f")
			(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d))`,
		"a global holds a reference": `(global $g (mut funcref) (ref.null func))
			(func $f (export "f") (global.set $g (ref.func $f)))`,
	} {
		t.Run(name, func(t *testing.T) {
			m := snapshotter(t, e.module(t, fields))
			_, err := m.Capture(instantiate(t, m, engine.Limits{}))
			assert.ErrorIs(t, err, engine.ErrNotCapturable)
			require.NoError(t, outcome(t.Context(), t, m), "it runs all the same")
		})
	}
}

// testSnapshotBytes has an engine that may keep one snapshot.
func testSnapshotBytes(t *testing.T, e *env) {
	config := e.config
	config.SnapshotBytes = 100 << 10
	other := &env{open: e.open, config: config, rt: e.with(t, config)}
	m := snapshotter(t, other.module(t, `(memory (export "m") 1)
		(func (export "f") (result i32) (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (i32.const 1))`))
	filled := func() (engine.Snapshot, error) {
		instance := instantiate(t, m, engine.Limits{})
		call(t, instance, "f")
		return m.Capture(instance)
	}
	for range 3 {
		snapshot, err := filled()
		require.NoError(t, err)
		_, err = filled()
		require.ErrorIs(t, err, engine.ErrNotCapturable)
		require.NoError(t, snapshot.Close())
	}
}

func testForeignSnapshots(t *testing.T, e *env) {
	one, other := snapshotter(t, e.module(t, stateful(2))), snapshotter(t, e.module(t, stateful(3)))
	first, snapshot := initialised(t, one)
	_, err := other.Capture(first)
	assert.ErrorIs(t, err, engine.ErrNotCapturable)
	_, err = other.Restore(t.Context(), snapshot, engine.Limits{})
	assert.Error(t, err)
	_, err = one.Restore(t.Context(), snapshot, engine.Limits{MemoryPages: 1})
	_, limit := errors.AsType[*engine.LimitError](err)
	assert.True(t, limit, "Restore under a smaller limit = %v, want a LimitError", err)
}

// testSnapshotsOutlived closes snapshots and modules while instances are at work.
func testSnapshotsOutlived(t *testing.T, e *env) {
	m := snapshotter(t, e.module(t, stateful(40)))
	first := instantiate(t, m, engine.Limits{})
	snapshot, err := m.Capture(first)
	require.NoError(t, err)
	instance := restore(t, m, snapshot)
	require.NoError(t, snapshot.Close())
	require.NoError(t, m.Close(context.WithoutCancel(t.Context())))
	_, err = m.Restore(t.Context(), snapshot, engine.Limits{})
	assert.Error(t, err, "of a snapshot that was closed")
	_, err = instance.Call(t.Context(), "dirty", 99)
	require.NoError(t, err)
	if reset, ok := instance.(engine.Resetter); ok {
		require.NoError(t, reset.Reset())
	}
	assert.EqualValues(t, 70+8+1+2, call(t, instance, "sum"))
}

func testConcurrentSnapshots(t *testing.T, e *env) {
	m := snapshotter(t, e.module(t, stateful(40)))
	first, snapshot := initialised(t, m)
	want := bytes.Clone(first.Memory())
	for _, err := range atOnce(8, func(i int) error {
		for n := range 50 {
			instance, err := m.Restore(t.Context(), snapshot, engine.Limits{})
			if err != nil {
				return err
			}
			if !bytes.Equal(want, instance.Memory()) {
				return fmt.Errorf("memory of instance %d of %d is not the snapshot's", n, i)
			}
			if _, err := instance.Call(t.Context(), "dirty", uint64(i*1000+n)); err != nil {
				return err
			}
			if err := instance.Close(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}) {
		assert.NoError(t, err)
	}
}
