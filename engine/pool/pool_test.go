package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a module that knows whether it was closed while in use.
type fake struct {
	engine.Module
	size   int64
	closed atomic.Int32
}

func (f *fake) Size() int64                 { return f.size }
func (f *fake) Close(context.Context) error { f.closed.Add(1); return nil }

func key(n int) pool.Key { return pool.Key{byte(n), byte(n >> 8)} }

// gives is a load function that gives m.
func gives(m engine.Module) pool.LoadFunc {
	return func(context.Context) (engine.Module, error) { return m, nil }
}

func get(t *testing.T, p *pool.Pool, n int, m engine.Module) *pool.Ref {
	t.Helper()
	ref, err := p.Get(t.Context(), key(n), gives(m))
	require.NoError(t, err)
	return ref
}

func closing(t *testing.T, p *pool.Pool) {
	t.Helper()
	t.Cleanup(func() { assert.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
}

func TestSharesByContent(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	one, two := &fake{size: 1}, &fake{size: 1}

	first := get(t, p, 1, one)
	second := get(t, p, 1, two)
	assert.Same(t, one, second.Program().Module(), "the second user of a key gets the first one's module")
	first.Release()
	second.Release()
	assert.Same(t, one, get(t, p, 1, two).Program().Module(), "a module that nobody uses is kept")
	assert.Equal(t, pool.Stats{Modules: 1, InUse: 1, Bytes: 1, Hits: 2, Misses: 1}, p.Stats())
}

func TestEvictsLeastRecentlyUsedFirst(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{MaxBytes: 30})
	closing(t, p)
	modules := []*fake{{size: 10}, {size: 10}, {size: 10}, {size: 10}}
	for n := range 3 {
		get(t, p, n, modules[n]).Release()
	}
	get(t, p, 0, nil).Release() // now 1 is the one unused for longest
	get(t, p, 3, modules[3]).Release()

	assert.Equal(t, []int32{0, 1, 0, 0}, closedCounts(modules))
	assert.Equal(t, uint64(1), p.Stats().Evictions)
	assert.Equal(t, int64(30), p.Stats().Bytes)
}

func closedCounts(modules []*fake) []int32 {
	var counts []int32
	for _, m := range modules {
		counts = append(counts, m.closed.Load())
	}
	return counts
}

func TestNeverEvictsWhatIsInUse(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{MaxBytes: 10})
	closing(t, p)
	busy, next := &fake{size: 10}, &fake{size: 10}
	ref := get(t, p, 1, busy)
	get(t, p, 2, next).Release()
	assert.Zero(t, busy.closed.Load())
	assert.Equal(t, int32(1), next.closed.Load(), "the idle one goes although it was used later")

	ref.Release()
	ref.Release()
	assert.Zero(t, busy.closed.Load(), "within the bound again")
}

func TestLargerThanThePoolIsUsableOnce(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{MaxBytes: 1})
	closing(t, p)
	m := &fake{size: 100}
	ref := get(t, p, 1, m)
	assert.Zero(t, m.closed.Load())
	ref.Release()
	assert.Equal(t, int32(1), m.closed.Load())
	assert.Zero(t, p.Stats().Bytes)
}

func TestLoadsOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(pool.Config{})
		m := &fake{size: 1}
		var loads atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				ref, err := p.Get(t.Context(), key(1), func(context.Context) (engine.Module, error) {
					loads.Add(1)
					<-release
					return m, nil
				})
				if assert.NoError(t, err) {
					assert.Same(t, m, ref.Program().Module())
					ref.Release()
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		assert.Equal(t, int32(1), loads.Load())
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestHasWhatIsMade(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	require.False(t, p.Has(key(1)))
	_, err := p.Get(t.Context(), key(1), func(context.Context) (engine.Module, error) {
		assert.False(t, p.Has(key(1)), "while it is made")
		return nil, errors.New("no")
	})
	require.Error(t, err)
	require.False(t, p.Has(key(1)), "what could not be made")
	get(t, p, 1, &fake{size: 1}).Release()
	require.True(t, p.Has(key(1)))
}

func TestErrorIsNotKept(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	broken := errors.New("broken")
	_, err := p.Get(t.Context(), key(1), func(context.Context) (engine.Module, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	assert.Zero(t, p.Stats().Modules)
	get(t, p, 1, &fake{}).Release()
}

func TestPanicOfLoadIsItsError(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	_, err := p.Get(t.Context(), key(1), func(context.Context) (engine.Module, error) { panic("boom") })
	assert.ErrorContains(t, err, "boom")
}

func TestFirstCallerGoingAwayDoesNotStopTheLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(pool.Config{})
		m := &fake{size: 1}
		release := make(chan struct{})
		load := func(ctx context.Context) (engine.Module, error) {
			select {
			case <-release:
				return m, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := p.Get(first, key(1), load)
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		wg.Go(func() {
			ref, err := p.Get(t.Context(), key(1), load)
			if assert.NoError(t, err) {
				assert.Same(t, m, ref.Program().Module())
				ref.Release()
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		wg.Wait()
		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, int32(1), m.closed.Load())
	})
}

func TestLoadThatNobodyWaitsForIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(pool.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := p.Get(ctx, key(1), func(ctx context.Context) (engine.Module, error) {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil, context.Cause(ctx)
			})
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, p.Close(t.Context()))
	})
}

// TestLoadAheadTakesNothingFromRequests has those who need a module wait for one that is
// loaded ahead, in vain or not.
func TestLoadAheadTakesNothingFromRequests(t *testing.T) {
	t.Parallel()
	broken, invalid := errors.New("broken"), errors.New("invalid")
	fails := func(err error) pool.LoadFunc {
		return func(context.Context) (engine.Module, error) { return nil, err }
	}
	ahead, requested := &fake{size: 1}, &fake{size: 1}
	never := func(context.Context) (engine.Module, error) { panic("nobody needs it") }
	for name, c := range map[string]struct {
		ahead    pool.LoadFunc
		requests []pool.LoadFunc
		want     engine.Module
		err      error
	}{
		"loaded ahead":                    {gives(ahead), []pool.LoadFunc{never, never}, ahead, nil},
		"loaded by who needs it":          {fails(broken), []pool.LoadFunc{gives(requested), never}, requested, nil},
		"a panic ahead":                   {never, []pool.LoadFunc{gives(requested), never}, requested, nil},
		"nobody needs it":                 {fails(broken), nil, nil, broken},
		"who needs it has nothing better": {fails(broken), []pool.LoadFunc{fails(invalid), never}, nil, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := pool.New(pool.Config{})
				wait := func(get func(context.Context, pool.Key, pool.LoadFunc) (*pool.Ref, error), load pool.LoadFunc) {
					ref, err := get(t.Context(), key(1), load)
					if assert.ErrorIs(t, err, c.err) && err == nil {
						assert.Same(t, c.want, ref.Program().Module())
						ref.Release()
					}
				}
				release := make(chan struct{})
				var all sync.WaitGroup
				all.Go(func() {
					wait(p.GetAhead, func(ctx context.Context) (engine.Module, error) {
						<-release
						return c.ahead(ctx)
					})
				})
				synctest.Wait()
				all.Go(func() { wait(p.GetAhead, never) })
				for _, load := range c.requests {
					synctest.Wait()
					all.Go(func() { wait(p.Get, load) })
				}
				synctest.Wait()
				close(release)
				all.Wait()
				assert.EqualValues(t, 1, p.Stats().Misses, "nobody has to come again")
				require.NoError(t, p.Close(t.Context()))
			})
		})
	}
}

// A compiler that looks at its context too late still hands over a module.
func TestModuleThatComesTooLateIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool.New(pool.Config{})
		late := &fake{size: 1}
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := p.Get(ctx, key(1), func(context.Context) (engine.Module, error) { <-release; return late, nil })
			assert.Error(t, err)
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		synctest.Wait()
		assert.Equal(t, int32(1), late.closed.Load())
		assert.Zero(t, p.Stats().Modules)
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestCloseLeavesModulesToTheirUsers(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	busy, idle := &fake{size: 1}, &fake{size: 1}
	ref := get(t, p, 1, busy)
	get(t, p, 2, idle).Release()
	require.NoError(t, p.Close(t.Context()))
	assert.Equal(t, []int32{0, 1}, closedCounts([]*fake{busy, idle}))
	ref.Release()
	assert.Equal(t, int32(1), busy.closed.Load())
	_, err := p.Get(t.Context(), key(1), gives(busy))
	assert.ErrorIs(t, err, pool.ErrClosed)
	assert.NoError(t, p.Close(t.Context()), "a second time")
}

// TestHammer looks for a module that is closed while somebody uses it, or
// closed twice, or never.
func TestHammer(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{MaxBytes: 5})
	var mu sync.Mutex
	var made []*fake
	load := func(context.Context) (engine.Module, error) {
		m := &fake{size: 1}
		mu.Lock()
		defer mu.Unlock()
		made = append(made, m)
		if len(made)%17 == 0 {
			return nil, fmt.Errorf("load %d", len(made))
		}
		return m, nil
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(10) == 0 {
					cancel()
				}
				get := p.Get
				if rand.IntN(3) == 0 {
					get = p.GetAhead
				}
				if ref, err := get(ctx, key(rand.IntN(12)), load); err == nil {
					assert.Zero(t, ref.Program().Module().(*fake).closed.Load(), "closed while in use")
					ref.Release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, p.Stats().Bytes, int64(5))
	require.NoError(t, p.Close(t.Context()))
	for i, m := range made {
		if (i+1)%17 != 0 {
			assert.Equal(t, int32(1), m.closed.Load(), "module %d", i)
		}
	}
}

func BenchmarkGetOfPooledModule(b *testing.B) {
	p := pool.New(pool.Config{})
	defer p.Close(b.Context())
	m := &fake{size: 1}
	b.ReportAllocs()
	for b.Loop() {
		ref, err := p.Get(b.Context(), key(1), gives(m))
		if err != nil {
			b.Fatal(err)
		}
		ref.Release()
	}
}

// standIn is a fake in whose place another comes when that is told.
type standIn struct {
	*fake
	final     engine.Module
	comes     chan struct{}
	begun     chan struct{}
	abandoned chan struct{}
}

func newStandIn(size int64, final engine.Module) standIn {
	return standIn{&fake{size: size}, final, make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (s standIn) Final(ctx context.Context) (engine.Module, error) {
	close(s.begun)
	select {
	case <-s.comes:
		return s.final, nil
	case <-ctx.Done():
		close(s.abandoned)
		return nil, context.Cause(ctx)
	}
}

// Nobody compiles for a container that is gone.
func TestProvisionalModuleGoesWithItsLastUser(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	m := newStandIn(7, nil)
	first, second := get(t, p, 1, m), get(t, p, 1, nil)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, first.Program().Settle(impatient), context.Canceled)
	<-m.begun
	first.Release()
	select {
	case <-m.abandoned:
		t.Fatal("the final module is not made any more, but there is a user")
	default:
	}
	second.Release()
	<-m.abandoned
	assert.EqualValues(t, 1, m.closed.Load())
	assert.Zero(t, p.Stats().Modules)
	assert.Zero(t, p.Stats().Bytes)

	again := &fake{size: 1}
	ref := get(t, p, 1, again)
	defer ref.Release()
	assert.Same(t, again, ref.Program().Module(), "the next user begins anew")
}

func TestFinalModuleIsKept(t *testing.T) {
	t.Parallel()
	p := pool.New(pool.Config{})
	closing(t, p)
	m := newStandIn(7, &fake{size: 3})
	ref := get(t, p, 1, m)
	assert.EqualValues(t, 7, p.Stats().Bytes)
	close(m.comes)
	require.NoError(t, ref.Program().Settle(t.Context()))
	assert.EqualValues(t, 1, m.closed.Load(), "the provisional module is of no use any more")
	ref.Release()
	assert.EqualValues(t, 3, p.Stats().Bytes)
	assert.Equal(t, 1, p.Stats().Modules)
}
