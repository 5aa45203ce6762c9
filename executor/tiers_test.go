package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/precompile"
)

// tiered has modules interpreted until they are compiled, in processes of this
// test binary.
func tiered(t testing.TB) (*precompile.Cache, func(*Config)) {
	return cached(t, true, atLeisure())
}

// atLeisure are bounds that no compilation passes, even with the race detector.
func atLeisure() precompile.ChildConfig { return precompile.ChildConfig{Time: 10 * time.Minute} }

// cached has modules compiled in processes within bounds, and interpreted until then
// if that is wanted.
func cached(t testing.TB, interpret bool, bounds precompile.ChildConfig) (*precompile.Cache, func(*Config)) {
	t.Helper()
	return cachedIn(t, t.TempDir(), interpret, bounds)
}

func cachedIn(t testing.TB, dir string, interpret bool, bounds precompile.ChildConfig) (*precompile.Cache, func(*Config)) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("limits of processes are tested on Linux")
	}
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	program, err := os.Executable()
	require.NoError(t, err)
	var config precompile.CacheConfig
	if interpret {
		config.Interpreter = rt
	}
	bounds.Command = []string{program, childArgument}
	cache, err := precompile.NewCache(dir, precompile.InChild(rt, bounds), config)
	require.NoError(t, err)
	return cache, func(c *Config) { c.Runtime, c.Modules = rt, cache }
}

// distinct is a binary that nobody has seen, and does what another does.
func distinct(module []byte, n int) []byte {
	custom := binary.AppendUvarint([]byte{4, 's', 'e', 'e', 'n'}, uint64(n))
	return append(append(bytes.Clone(module), 0, byte(len(custom))), custom...)
}

func TestAnswersBeforeItIsCompiled(t *testing.T) {
	inProcess(t)
	t.Parallel()
	cache, with := tiered(t)
	f := newFixture(t, with)
	guest := goAddGuest(t)
	var inits sync.WaitGroup
	const containers = 4
	for n := range containers {
		inits.Go(func() {
			url := f.multiplexed + "/c" + strconv.Itoa(n)
			if r, err := f.try("POST", url+"/init", strings.NewReader(initBody(guest))); err != nil || r.status != 200 {
				t.Errorf("init = %v, %v", r, err)
			}
			if r, err := f.try("POST", url+"/run", strings.NewReader(runBody(`{"param1":3,"param2":4}`))); err != nil || r.body != `{"result":7}` {
				t.Errorf("run = %v, %v", r, err)
			}
		})
	}
	inits.Wait()
	require.EqualValues(t, 1, cache.Stats().Interpreted)
	if testing.Short() {
		return // what follows waits for the compiler, which takes the race detector minutes
	}
	require.Eventually(t, func() bool {
		r := f.run(f.multiplexed+"/c0", `{"param1":3,"param2":4}`)
		require.Equal(t, `{"result":7}`, r.body)
		return strings.Contains(r.header.Get(TimingHeader), "run;dur")
	}, 10*time.Minute, 10*time.Millisecond)
	want := precompile.CacheStats{Interpreted: 1, Compiled: 1, Stored: 1, Derived: 1}
	assert.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, cache.Stats()) }, time.Minute, time.Millisecond,
		"the state after the guest's start is written beside the first runs of what is compiled")
}

// What a container does for the first time in a process, another process has done.
func TestModulesUsedLastAreLoadedAhead(t *testing.T) {
	inProcess(t)
	t.Parallel()
	dir := t.TempDir()
	binary := padded(echoGuest())
	began := func(preload int) (*precompile.Cache, *fixture) {
		cache, with := cachedIn(t, dir, false, atLeisure())
		return cache, newFixture(t, with, func(c *Config) { c.Preload = preload })
	}
	_, first := began(4)
	first.init(first.multiplexed+"/a", binary)
	first.wantRun(first.multiplexed+"/a", `{"n":1}`, 200, `{"n":1}`)
	require.NoError(t, first.Stop(t.Context()))

	cache, second := began(4)
	require.Eventually(t, func() bool { return cache.Stats().Loaded == 1 }, time.Minute, time.Millisecond)
	r := second.init(second.multiplexed+"/a", binary)
	assert.NotContains(t, r.header.Get(TimingHeader), "load;")
	assert.EqualValues(t, 1, second.config.Pool.Stats().Hits)
	second.wantRun(second.multiplexed+"/a", `{"n":2}`, 200, `{"n":2}`)
	assert.Equal(t, precompile.CacheStats{Loaded: 1}, cache.Stats())

	cache, third := began(0)
	assert.Zero(t, third.config.Pool.Stats().Modules)
	r = third.init(third.multiplexed+"/a", binary)
	assert.Contains(t, r.header.Get(TimingHeader), "load;")
	assert.Equal(t, precompile.CacheStats{Loaded: 1}, cache.Stats())
}

// padded is a binary that is large enough for an artefact, and does what another does.
func padded(module []byte) []byte {
	custom := append([]byte{3, 'p', 'a', 'd'}, make([]byte, precompile.SmallBinary)...)
	return append(binary.AppendUvarint(append(bytes.Clone(module), 0), uint64(len(custom))), custom...)
}

// The container takes its compilation with it.
func TestDestroyEndsCompilation(t *testing.T) {
	inProcess(t)
	t.Parallel()
	cache, with := tiered(t)
	f := newFixture(t, with)
	url := f.multiplexed + "/gone"
	r := f.init(url, distinct(goAddGuest(t), 1))
	assert.Contains(t, r.header.Get(TimingHeader), "interpret;dur")
	require.Equal(t, 200, f.post(url+"/destroy", "").status)
	assert.Zero(t, f.config.Pool.Stats().Modules)
	assert.Zero(t, cache.Stats().Compiled)
}

// Nobody is hurt by a bomb but its sender: not who has an action running beside it,
// nor who comes after it.
func TestBombsHurtNobodyElse(t *testing.T) {
	inProcess(t)
	t.Parallel()
	for name, interpret := range map[string]bool{"interpreted first": true, "compiled first": false} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !interpret {
				t.Skip("not the way of most executors, and the race detector makes it long")
			}
			t.Parallel()
			cache, with := cached(t, interpret, precompile.ChildConfig{Time: time.Second, MemoryBytes: 1 << 30})
			f := newFixture(t, with)
			neighbour := f.multiplexed + "/neighbour"
			f.init(neighbour, distinct(echoGuest(), 1))
			runs := f.runMeanwhile(neighbour, func() { f.refuseBombs() })
			assert.Positive(t, runs)
			t.Logf("%d runs meanwhile", runs)
			assert.Equal(t, interpret, cache.Stats().Interpreted > 0, "%+v", cache.Stats())
			assert.Zero(t, cache.Stats().Stored)

			after := f.multiplexed + "/after"
			f.init(after, distinct(echoGuest(), 2))
			f.wantRun(after, `{"still":"here"}`, 200, `{"still":"here"}`)
		})
	}
}

// runMeanwhile runs an echoing container over and over while work goes on, and
// counts.
func (f *fixture) runMeanwhile(url string, work func()) (runs int) {
	f.t.Helper()
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		for over := false; !over; runs++ {
			select {
			case <-done:
				over = true
			default:
			}
			input := `{"n":` + strconv.Itoa(runs) + `}`
			if r, err := f.try("POST", url+"/run", strings.NewReader(runBody(input))); err != nil || r.status != 200 || r.body != input {
				f.t.Errorf("run %d = %v, %v", runs, r, err)
				return
			}
		}
	})
	work()
	close(done)
	running.Wait()
	return runs
}

// refuseBombs sends all bombs at once, and waits until each is refused.
func (f *fixture) refuseBombs() {
	f.t.Helper()
	var sent sync.WaitGroup
	for name, bomb := range guesttest.Bombs() {
		sent.Go(func() {
			url := f.multiplexed + "/" + strings.ReplaceAll(name, " ", "-")
			r, err := f.tryBomb(url, bomb)
			if err != nil || r.status != 502 || !strings.Contains(r.body, "compilation") {
				f.t.Errorf("%s = %v, %v, want that the compilation passed a limit", name, r, err)
			}
		})
	}
	sent.Wait()
}

// tryBomb gives what its sender reads in the end: of a bomb that is interpreted, the
// compiler's verdict comes after the /init.
func (f *fixture) tryBomb(url string, bomb []byte) (r reply, err error) {
	began := time.Now()
	r, err = f.try("POST", url+"/init", strings.NewReader(initBody(bomb)))
	for err == nil && r.status == 200 && time.Since(began) < 2*time.Minute {
		if r, err = f.try("POST", url+"/run", strings.NewReader(runBody(`{}`))); !strings.Contains(r.body, "compilation") {
			r.status = 200 // not yet: what a command says that answers nothing
			time.Sleep(10 * time.Millisecond)
		}
	}
	return r, err
}

// BenchmarkNeverSeen is the first answer of a Go module of 3.6 MB that nobody has
// seen: /init and /run of it, interpreted until it is compiled, and compiled
// first, in turns.
func BenchmarkNeverSeen(b *testing.B) {
	_, interpreting := cached(b, true, atLeisure())
	_, waiting := cached(b, false, atLeisure())
	tiers, plain := newFixture(b, interpreting), newFixture(b, waiting)
	guest := goAddGuest(b)
	var interpreted, compiled []time.Duration
	n := 0
	for b.Loop() {
		n += 2
		interpreted = append(interpreted, firstAnswer(tiers, distinct(guest, n)))
		compiled = append(compiled, firstAnswer(plain, distinct(guest, n+1)))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(middle(interpreted)), "interpreted-ms")
	b.ReportMetric(milliseconds(middle(compiled)), "compiled-ms")
	b.ReportMetric(float64(middle(interpreted))/float64(middle(compiled)), "ratio")
}

// firstAnswer tells how long /init and /run take, of a zip as wsk would send it.
func firstAnswer(f *fixture, module []byte) time.Duration {
	f.t.Helper()
	body := wskBody(f.t, module)
	url := f.multiplexed + "/first"
	began := time.Now()
	init := f.post(url+"/init", body)
	answer := f.run(url, `{"param1":3,"param2":4}`)
	took := time.Since(began)
	require.Equal(f.t, 200, init.status, init.body)
	require.Equal(f.t, `{"result":7}`, answer.body)
	f.t.Log(init.header.Get(TimingHeader), "|", answer.header.Get(TimingHeader))
	f.post(url+"/destroy", "")
	return took
}

// wskBody is the body of an /init as wsk would have it sent.
func wskBody(t testing.TB, module []byte) string {
	t.Helper()
	var zip bytes.Buffer
	require.NoError(t, precompile.Pack(&zip, module, precompile.Manifest{}))
	return initBody(zip.Bytes())
}

func middle(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}
