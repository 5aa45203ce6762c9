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
	"wasmwhisk/precompile"
)

// tiered has modules interpreted until they are compiled, in processes of this
// test binary.
func tiered(t testing.TB) (*precompile.Cache, func(*Config)) { return cached(t, true) }

func cached(t testing.TB, interpret bool) (*precompile.Cache, func(*Config)) {
	t.Helper()
	return cachedIn(t, t.TempDir(), interpret)
}

func cachedIn(t testing.TB, dir string, interpret bool) (*precompile.Cache, func(*Config)) {
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
	child := precompile.InChild(rt, precompile.ChildConfig{Command: []string{program, childArgument}, Time: 10 * time.Minute})
	cache, err := precompile.NewCache(dir, child, config)
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
	assert.EqualValues(t, 1, cache.Stats().Compiled)
	assert.EqualValues(t, 1, cache.Stats().Stored)
	assert.EqualValues(t, 1, cache.Stats().Interpreted)
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

// BenchmarkNeverSeen is the first answer of a Go module of 3.6 MB that nobody has
// seen: /init and /run of it, interpreted until it is compiled, and compiled
// first, in turns.
func BenchmarkNeverSeen(b *testing.B) {
	_, interpreting := cached(b, true)
	_, waiting := cached(b, false)
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
