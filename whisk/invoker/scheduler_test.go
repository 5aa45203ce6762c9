package invoker

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

// bench runs jobs that end when they are told to, and keeps the order in which
// they began.
type bench struct {
	*scheduler

	mu      sync.Mutex
	began   []string
	dropped []string
	ends    map[string]chan struct{}
}

func newBench(t *testing.T, capacity Capacity) *bench {
	t.Helper()
	b := &bench{scheduler: newScheduler(capacity), ends: map[string]chan struct{}{}}
	t.Cleanup(b.wait)
	return b
}

func (b *bench) job(namespace, action, name string) *job {
	end := make(chan struct{})
	b.ends[name] = end
	return &job{
		namespace: namespace, action: action, memory: 1 << 20,
		start: func() {
			b.note(&b.began, name)
			<-end
		},
		drop: func() { b.note(&b.dropped, name) },
	}
}

func (b *bench) note(to *[]string, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*to = append(*to, name)
}

func (b *bench) end(name string) {
	close(b.ends[name])
	synctest.Wait()
}

func room() Capacity { return Capacity{Activations: 2, MemoryBytes: 1 << 30, Queue: 100} }

func TestNamespacesShareTheNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, room())
		for i := range 4 {
			require.NoError(t, b.add(b.job("greedy", "greedy/a", fmt.Sprintf("g%d", i))))
		}
		synctest.Wait()
		require.NoError(t, b.add(b.job("modest", "modest/a", "m0")))
		b.end("g0")
		assert.Equal(t, []string{"g0", "g1", "m0"}, sorted(b.began[:2], b.began[2:]), "modest comes before what greedy has waiting")
		b.end("g1")
		b.end("m0")
		assert.Equal(t, []string{"g2", "g3"}, b.began[3:])
		b.end("g2")
		b.end("g3")
		b.wait()
		assert.Empty(t, b.tenants, "nothing is left of who left")
	})
}

// sorted is for what two goroutines did in either order.
func sorted(either, then []string) []string {
	if either[0] > either[1] {
		either[0], either[1] = either[1], either[0]
	}
	return append(either, then...)
}

func TestActionsOfANamespaceTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Capacity{Activations: 1, MemoryBytes: 1 << 30, Queue: 100})
		for _, name := range []string{"a0", "a1", "a2"} {
			require.NoError(t, b.add(b.job("ns", "ns/a", name)))
		}
		require.NoError(t, b.add(b.job("ns", "ns/b", "b0")))
		synctest.Wait()
		for _, name := range []string{"a0", "a1", "b0", "a2"} {
			b.end(name)
		}
		assert.Equal(t, []string{"a0", "a1", "b0", "a2"}, b.began)
	})
}

func TestBoundOfAnAction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, room())
		for _, name := range []string{"a0", "a1"} {
			j := b.job("ns", "ns/a", name)
			j.bound = 1
			require.NoError(t, b.add(j))
		}
		require.NoError(t, b.add(b.job("ns", "ns/b", "b0")))
		synctest.Wait()
		assert.ElementsMatch(t, []string{"a0", "b0"}, b.began, "the second of a waits although the node has room")
		b.end("b0")
		b.end("a0")
		assert.Equal(t, "a1", b.began[2])
		b.end("a1")
	})
}

func TestLargeActivationsAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Capacity{Activations: 10, MemoryBytes: 3 << 20, Queue: 100})
		require.NoError(t, b.add(b.job("ns", "ns/small", "s0")))
		large := b.job("ns", "ns/large", "l0")
		large.memory = 3 << 20
		require.NoError(t, b.add(large))
		require.NoError(t, b.add(b.job("ns", "ns/small", "s1")))
		synctest.Wait()
		assert.Equal(t, []string{"s0"}, b.began)
		b.end("s0")
		assert.Equal(t, []string{"s0", "l0"}, b.began)
		b.end("l0")
		b.end("s1")

		impossible := b.job("ns", "ns/large", "l1")
		impossible.memory = 4 << 20
		assert.EqualError(t, b.add(impossible), "The action needs 4 MB of memory, the node has 3 MB.")
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Capacity{Activations: 1, MemoryBytes: 1 << 30, Queue: 1})
		require.NoError(t, b.add(b.job("ns", "ns/a", "a0")))
		require.NoError(t, b.add(b.job("ns", "ns/a", "a1")))
		var refused *whisk.Error
		require.ErrorAs(t, b.add(b.job("ns", "ns/a", "a2")), &refused)
		assert.Equal(t, whisk.Error{Kind: whisk.TooManyRequests, Message: "Too many activations of the action are waiting (count: 1, allowed: 1)."}, *refused)
		require.NoError(t, b.add(b.job("ns", "ns/b", "b0")), "another action has a queue of its own")
		running, waiting := b.inFlight()
		assert.Equal(t, []int{1, 2}, []int{running, waiting})

		b.close()
		assert.ElementsMatch(t, []string{"a1", "b0"}, b.dropped)
		assert.Error(t, b.add(b.job("ns", "ns/a", "a3")))
		b.end("a0")
		b.wait()
	})
}

// TestWorkersAreKept: those that have nothing to do run what comes next, and end
// when the scheduler does.
func TestWorkersAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w workers
		hold := make(chan struct{})
		for range 2 * maxIdleWorkers {
			w.do(func() { <-hold })
		}
		close(hold)
		synctest.Wait()
		assert.Len(t, w.idle, maxIdleWorkers, "workers kept")
		ran := 0
		for range 3 {
			w.do(func() { ran++ })
			synctest.Wait()
		}
		assert.Equal(t, 3, ran, "functions run by those")
		assert.Len(t, w.idle, maxIdleWorkers, "workers kept after that")
		w.do(func() { ran++ })
		w.wait()
		assert.Equal(t, 4, ran, "functions run before wait returns")
		assert.Empty(t, w.idle)
	})
}

// TestClaim: a turn is taken at once only where nobody has to wait for it.
func TestClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Capacity{Activations: 2, MemoryBytes: 3 << 20, Queue: 100})
		first, second := b.job("guest", "guest/a", "first"), b.job("guest", "guest/b", "second")
		first.bound = 1
		require.True(t, b.claim(first), "claim of an idle node")
		assert.False(t, b.claim(first), "claim of an action at its bound")
		large := b.job("guest", "guest/c", "large")
		large.memory = 3 << 20
		assert.False(t, b.claim(large), "claim of more memory than there is")
		require.True(t, b.claim(second))
		third := b.job("other", "other/a", "third")
		assert.False(t, b.claim(third), "claim of a full node")

		require.NoError(t, b.add(third))
		b.release(second)
		synctest.Wait()
		assert.Equal(t, []string{"third"}, b.began, "who waits gets the turn that is released")
		require.NoError(t, b.add(b.job("other", "other/a", "fourth")))
		b.end("third")
		b.release(first)
		b.end("fourth")
		assert.Empty(t, b.tenants, "nothing is left of who left")

		b.close()
		assert.False(t, b.claim(first), "claim of what is closed")
	})
}
