package enginetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/ram"
)

// Endurance says how long engines are tried; its zero value asks for nothing.
type Endurance struct {
	Activations int // in fresh instances, and as many in such as were put back
	Traps       int // of each kind
}

// leakedBytes is what the RAM of a process may grow by between a tenth of the
// activations and all of them: allocators and collectors do not settle sooner.
const leakedBytes = 16 << 20

// Endure has an engine run so many guests that the smallest leak shows, and trap
// so often that it would lose a well-behaved guest beside it.
func Endure(t *testing.T, open Open, n Endurance) {
	e := newEnv(t, open, engine.Config{}, Options{})
	e.config.CheckResets = false // comparing takes longer than all else
	e.rt = e.another(t)
	t.Run("memory", func(t *testing.T) { e.testLeaks(t, n.Activations) })
	t.Run("traps", func(t *testing.T) { e.testManyTraps(t, n.Traps) })
}

func (e *env) testLeaks(t *testing.T, activations int) {
	m := e.module(t, stateful(40))
	early := int64(0)
	for i := range activations {
		if i == activations/10 {
			early = resident(t)
		}
		instance, err := m.Instantiate(t.Context(), engine.Limits{})
		require.NoError(t, err)
		_, err = instance.Call(t.Context(), "dirty", uint64(i))
		require.NoError(t, err)
		require.NoError(t, instance.Close(t.Context()))
	}
	late := resident(t)
	e.reuse(t, m, activations)
	last := resident(t)
	t.Logf("RAM after %d activations: %d KiB; after %d: %d KiB; after as many in one instance: %d KiB",
		activations/10, early>>10, activations, late>>10, last>>10)
	assert.Less(t, late-early, int64(leakedBytes), "growth over fresh instances")
	assert.Less(t, last-late, int64(leakedBytes), "growth over activations of one instance")
}

// reuse runs activations in one instance that is put back after each.
func (e *env) reuse(t *testing.T, m engine.Module, activations int) {
	t.Helper()
	s, ok := m.(engine.Snapshotter)
	if !ok {
		return
	}
	_, snapshot := initialised(t, s)
	instance := restore(t, s, snapshot)
	reset, ok := instance.(engine.Resetter)
	for i := range activations {
		if !ok {
			return
		}
		_, err := instance.Call(t.Context(), "dirty", uint64(i))
		require.NoError(t, err)
		require.NoError(t, reset.Reset())
	}
}

// resident is the RAM of this process.
func resident(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	size := ram.Resident(os.Getpid())
	if size == 0 {
		t.Skip("the system does not tell the memory of this process")
	}
	return size
}

// testManyTraps has a well-behaved guest answer while others trap.
func (e *env) testManyTraps(t *testing.T, traps int) {
	well := e.module(t, `(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))`)
	ctx, stop := context.WithCancel(t.Context())
	answers := make(chan error, 1)
	go func() { answers <- answering(ctx, well) }()
	kinds := trapping()
	kinds[engine.TrapStackOverflow] = []string{"(call $f) (call $f)"}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		m := e.module(t, fmt.Sprintf(trapFields, kinds[kind][0]))
		for range traps {
			requireTrap(t, kind, callOnce(t.Context(), m))
		}
	}
	stop()
	require.NoError(t, <-answers, "of the guest beside")
}

// callOnce calls f in an instance that it closes at once.
func callOnce(ctx context.Context, m engine.Module) error {
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	_, trap := instance.Call(ctx, "f")
	if err := instance.Close(ctx); err != nil {
		return err
	}
	return trap
}

// answering asks a guest over and over until ctx ends.
func answering(ctx context.Context, m engine.Module) error {
	for i := uint64(0); ctx.Err() == nil; i++ {
		err := addOnce(context.WithoutCancel(ctx), m, i)
		if err != nil {
			return err
		}
	}
	return nil
}

func addOnce(ctx context.Context, m engine.Module, i uint64) error {
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	got, err := instance.Call(ctx, "add", i%1000, 1)
	if err == nil && got[0] != i%1000+1 {
		err = fmt.Errorf("add(%d, 1) = %d", i%1000, got[0])
	}
	return errors.Join(err, instance.Close(ctx))
}
