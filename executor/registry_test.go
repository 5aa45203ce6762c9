package executor

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

// newTestRegistry gives a registry whose containers have no logs, and the ids of
// those disposed of, in order.
func newTestRegistry(capacity Capacity) (*registry, func() []string) {
	var mu sync.Mutex
	var disposed []string
	r := newRegistry(capacity.withDefaults(), func(id string) *container {
		c := newContainer(id, nil, 0)
		c.dispose = func() {
			mu.Lock()
			defer mu.Unlock()
			disposed = append(disposed, id)
		}
		return c
	})
	return r, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(disposed)
	}
}

// touch uses a container once.
func touch(t *testing.T, r *registry, id string) {
	t.Helper()
	c, err := r.acquireOrCreate(id)
	require.NoError(t, err, "acquireOrCreate(%q)", id)
	r.release(c)
}

func TestSweepWatermarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		capacity Capacity
		idle     int
		busy     int
		want     int // idle containers left
	}{
		{name: "below 70 % of 8", capacity: Capacity{Containers: 8, High: 0.7, Low: 0.4}, idle: 5, want: 5},
		{name: "at 70 % of 8", capacity: Capacity{Containers: 8, High: 0.7, Low: 0.4}, idle: 6, want: 3},
		{name: "at 75 % of 5", capacity: Capacity{Containers: 5, High: 0.75, Low: 0.25}, idle: 4, want: 1},
		{name: "all of 5", capacity: Capacity{Containers: 5, High: 0.75, Low: 0.25}, idle: 5, want: 1},
		{name: "busy ones do not count", capacity: Capacity{Containers: 8, High: 0.7, Low: 0.4}, idle: 5, busy: 3, want: 5},
		{name: "busy ones stay", capacity: Capacity{Containers: 8, High: 0.7, Low: 0.4}, idle: 6, busy: 2, want: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, disposed := newTestRegistry(c.capacity)
				for i := range c.busy {
					_, err := r.acquireOrCreate("busy" + strconv.Itoa(i))
					require.NoError(t, err)
				}
				for i := range c.idle {
					touch(t, r, "idle"+strconv.Itoa(i))
					time.Sleep(time.Second)
				}
				r.sweep(time.Now())
				assert.Equal(t, c.busy+c.want, r.count(), "containers left")
				var oldest []string
				for i := range c.idle - c.want {
					oldest = append(oldest, "idle"+strconv.Itoa(i))
				}
				assert.Equal(t, oldest, disposed(), "removed, in order")
			})
		})
	}
}

func TestSweepRemovesWhatIsIdleForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, disposed := newTestRegistry(Capacity{Idle: time.Minute})
		touch(t, r, "old")
		busy, err := r.acquireOrCreate("busy")
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		touch(t, r, "young")
		time.Sleep(30 * time.Second)
		assert.Equal(t, 1, r.sweep(time.Now()))
		assert.Equal(t, []string{"old"}, disposed())
		r.release(busy)
		time.Sleep(59 * time.Second)
		assert.Equal(t, 1, r.sweep(time.Now()), "busy counts from its last use")
		time.Sleep(time.Second)
		assert.Equal(t, 1, r.sweep(time.Now()))
		assert.Zero(t, r.count())
	})
}

func TestFullRegistryMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, disposed := newTestRegistry(Capacity{Containers: 3, High: 1, Low: 0.5})
		_, err := r.acquireOrCreate("busy")
		require.NoError(t, err)
		touch(t, r, "first")
		time.Sleep(time.Second)
		touch(t, r, "second")
		touch(t, r, "third")
		assert.Equal(t, []string{"first"}, disposed(), "the longest idle goes")
		assert.Equal(t, 3, r.count())
	})
}

func TestFullRegistryNeverRemovesBusyContainers(t *testing.T) {
	t.Parallel()
	r, disposed := newTestRegistry(Capacity{Containers: 2})
	a, err := r.acquireOrCreate("a")
	require.NoError(t, err)
	_, err = r.acquireOrCreate("b")
	require.NoError(t, err)
	_, err = r.acquireOrCreate("c")
	var refused *whisk.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, whisk.Unavailable, refused.Kind)
	assert.Empty(t, disposed())
	r.release(a)
	_, err = r.acquireOrCreate("c")
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, disposed())
}

func TestDestroyWaitsForTheLastUser(t *testing.T) {
	t.Parallel()
	r, disposed := newTestRegistry(Capacity{})
	c, err := r.acquireOrCreate("a")
	require.NoError(t, err)
	r.destroy("a")
	r.destroy("a")
	r.destroy("unknown")
	assert.True(t, isClosed(c.gone), "the container knows")
	assert.Empty(t, disposed(), "still in use")
	touch(t, r, "a")
	assert.Equal(t, 1, r.count(), "a new container of the same id")
	r.release(c)
	assert.Equal(t, []string{"a"}, disposed())
	assert.Equal(t, 1, r.count())
}

func TestClosedRegistry(t *testing.T) {
	t.Parallel()
	r, disposed := newTestRegistry(Capacity{})
	busy, err := r.acquireOrCreate("busy")
	require.NoError(t, err)
	touch(t, r, "idle")
	r.close()
	assert.Equal(t, []string{"idle"}, disposed())
	r.release(busy)
	assert.Equal(t, []string{"idle", "busy"}, disposed())
	_, err = r.acquireOrCreate("late")
	assert.Equal(t, errDraining(), err)
}

// TestRegistryUnderContention has every container disposed of exactly once,
// whoever removes it.
func TestRegistryUnderContention(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	made, gone := 0, 0
	count := func(n *int) {
		mu.Lock()
		defer mu.Unlock()
		*n++
	}
	r := newRegistry(Capacity{Containers: 8, High: 0.5, Low: 0.25, Idle: time.Hour}, func(id string) *container {
		count(&made)
		c := newContainer(id, nil, 0)
		c.dispose = func() { count(&gone) }
		return c
	})
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 500 {
				id := fmt.Sprint((w + i) % 12)
				c, err := r.acquireOrCreate(id)
				if err != nil {
					continue
				}
				switch i % 7 {
				case 0:
					r.destroy(id)
				case 1:
					r.sweep(time.Now())
				}
				r.release(c)
			}
		})
	}
	workers.Wait()
	r.close()
	assert.Equal(t, made, gone, "containers made and disposed of")
	assert.Zero(t, r.count())
}
