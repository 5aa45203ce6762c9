package precompile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

func newCompiler(t testing.TB) engine.Precompiler {
	t.Helper()
	rt, err := wazeroengine.NewCompiler(context.Background(), engine.Config{HostFuncs: wasi.Functions()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt
}

func wazeroCache(t testing.TB, dir string) *Cache {
	t.Helper()
	return cacheOf(t, dir, newCompiler(t))
}

func cacheOf(t testing.TB, dir string, p engine.Precompiler) *Cache {
	t.Helper()
	c := openCache(t, dir, p, CacheConfig{})
	c.smallBinary = 0
	return c
}

// functions returns a module of n functions, of some 75 bytes each, that all
// add to a number; "run" calls them all.
func functions(n int) []byte {
	var src strings.Builder
	src.WriteString("(module\n")
	for i := range n {
		fmt.Fprintf(&src, `(func $f%d (param i32) (result i32) (local $i i32)
			(loop $l
				(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.const %d)))
				(local.set $i (i32.add (local.get $i) (i32.const 1)))
				(if (i32.gt_u (i32.and (local.get 0) (i32.const 0xff)) (i32.const 7)) (then
					(local.set 0 (i32.xor (i32.shl (local.get 0) (i32.const 2)) (i32.const %d)))))
				(br_if $l (i32.lt_u (local.get $i) (i32.const 10))))
			(local.get 0))`+"\n", i, i, 7*i)
	}
	src.WriteString(`(func (export "run") (param i32) (result i32) (local.get 0)` + "\n")
	for i := range n {
		fmt.Fprintf(&src, "(call $f%d)", i)
	}
	src.WriteString("))")
	return wat.Must(src.String())
}

func run(t testing.TB, m engine.Module) uint64 {
	t.Helper()
	instance, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	defer instance.Close(t.Context())
	results, err := instance.Call(t.Context(), "run", 5)
	require.NoError(t, err)
	return results[0]
}

func TestWazeroThroughTheCache(t *testing.T) {
	t.Parallel()
	binary, dir := functions(200), t.TempDir()
	hash := sha256.Sum256(binary)
	ask := func(c *Cache) (uint64, Origin) {
		m, origin, err := c.Module(t.Context(), Action{Binary: binary, Hash: hash})
		require.NoError(t, err)
		defer m.Close(t.Context())
		return run(t, m), origin
	}
	first, origin := ask(wazeroCache(t, dir))
	require.Equal(t, Compiled, origin)

	c := wazeroCache(t, dir)
	second, origin := ask(c)
	require.Equal(t, Loaded, origin)
	require.Equal(t, first, second)

	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "header" {
			return os.Truncate(path, 100)
		}
		return err
	}))
	third, origin := ask(c)
	require.Equal(t, Compiled, origin)
	require.Equal(t, first, third)
}

// fillDisk has wazero meet a disk that takes 10,000 bytes of a file.
func fillDisk(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 10_000, Max: 10_000}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	binary := functions(400)
	c := wazeroCache(t, dir)
	for range 2 {
		m, origin, err := c.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
		require.NoError(t, err)
		require.Equal(t, Compiled, origin)
		run(t, m)
	}
	require.Equal(t, CacheStats{Compiled: 2, Failures: 1}, c.Stats())
	requireEmpty(t, dir)
}

func TestWazeroOnAFullDisk(t *testing.T) {
	t.Parallel()
	said, err := helper(t, helperFull, t.TempDir()).CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Contains(t, string(said), "--- PASS: TestHelper")
}

// sharer is a process that uses a directory beside others.
type sharer struct {
	runtime engine.Precompiler
	module  engine.Module
	cache   *Cache
}

// newSharer opens an engine and a cache, and asks for the binary that all sharers of
// the directory ask for.
func newSharer(t testing.TB, dir string, want Origin) *sharer {
	t.Helper()
	rt, err := wazeroengine.NewCompiler(t.Context(), engine.Config{HostFuncs: wasi.Functions()})
	require.NoError(t, err)
	s := &sharer{runtime: rt, cache: cacheOf(t, dir, rt)}
	s.module = s.ask(t, want)
	return s
}

func (s *sharer) ask(t testing.TB, want Origin) engine.Module {
	t.Helper()
	binary := functions(200)
	m, origin, err := s.cache.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.NoError(t, err)
	require.Equal(t, want, origin)
	return m
}

// again runs what it has, and the same loaded once more.
func (s *sharer) again(t testing.TB) uint64 {
	t.Helper()
	loaded := s.ask(t, Loaded)
	result := run(t, loaded)
	require.NoError(t, loaded.Close(t.Context()))
	require.Equal(t, result, run(t, s.module))
	return result
}

func (s *sharer) close(t testing.TB) {
	t.Helper()
	require.NoError(t, s.module.Close(t.Context()))
	require.NoError(t, s.runtime.Close(t.Context()))
}

// neighbour loads what its parent compiled, and tells what that gives: at once, and
// when the parent ends its input.
func neighbour(t *testing.T, dir string) {
	s := newSharer(t, dir, Loaded)
	fmt.Fprintf(os.Stdout, "result %d\n", s.again(t))
	_, err := io.Copy(io.Discard, os.Stdin)
	require.NoError(t, err)
	fmt.Fprintf(os.Stdout, "result %d\n", s.again(t))
	require.Equal(t, CacheStats{Loaded: 3}, s.cache.Stats())
	s.close(t)
}

// nextResult reads until a neighbour tells one.
func nextResult(t *testing.T, said *bufio.Scanner) (result uint64) {
	t.Helper()
	for said.Scan() {
		if n, _ := fmt.Sscanf(said.Text(), "result %d", &result); n == 1 {
			return result
		}
	}
	require.Fail(t, "the neighbour has ended", "%v", said.Err())
	return 0
}

// Executors that live at the same time share what one of them has compiled,
// whichever ends first.
func TestWazeroInTwoProcesses(t *testing.T) {
	t.Parallel()
	for name, compilerFirst := range map[string]bool{"who compiled ends first": true, "who loaded ends first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSharer(t, dir, Compiled)
			want := s.again(t)
			cmd := helper(t, helperNeighbour, dir)
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			said := bufio.NewScanner(stdout)
			require.Equal(t, want, nextResult(t, said), "while both live")
			require.Equal(t, want, s.again(t), "while both live")
			if compilerFirst {
				s.close(t)
			}
			require.NoError(t, stdin.Close())
			require.Equal(t, want, nextResult(t, said))
			require.NoError(t, cmd.Wait())
			if !compilerFirst {
				require.Equal(t, want, s.again(t), "after the neighbour has ended")
				s.close(t)
			}
			requireNoLeftovers(t, dir)
		})
	}
}

// BenchmarkSmallBinary is what [SmallBinary] was chosen by.
func BenchmarkSmallBinary(b *testing.B) {
	for _, n := range []int{1, 4, 14, 28, 56, 110, 220, 440} {
		binary := functions(n)
		hash := sha256.Sum256(binary)
		b.Run(fmt.Sprintf("%d/compile", len(binary)), func(b *testing.B) {
			rt := newCompiler(b)
			for b.Loop() {
				m, err := rt.Compile(b.Context(), binary)
				require.NoError(b, err)
				b.StopTimer()
				m.Close(b.Context())
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("%d/store", len(binary)), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c := wazeroCache(b, b.TempDir())
				b.StartTimer()
				_, _, err := c.Module(b.Context(), Action{Binary: binary, Hash: hash})
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("%d/load", len(binary)), func(b *testing.B) {
			c := wazeroCache(b, b.TempDir())
			for b.Loop() {
				m, _, err := c.Module(b.Context(), Action{Binary: binary, Hash: hash})
				require.NoError(b, err)
				b.StopTimer()
				m.Close(b.Context())
				b.StartTimer()
			}
		})
	}
}

// BenchmarkGoAction is what an /init does until it has the module: "first" of code
// never seen, "known" of code whose artefact is on disk, in turns. It reports
// medians, and the least, which is what a quiet machine takes.
func BenchmarkGoAction(b *testing.B) {
	var zip bytes.Buffer
	require.NoError(b, Pack(&zip, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor), Manifest{}))
	code := base64.StdEncoding.EncodeToString(zip.Bytes())
	compiler := newCompiler(b)
	var first, known []time.Duration
	for b.Loop() {
		dir := b.TempDir()
		first = append(first, timeInit(b, cacheOf(b, dir, compiler), code, Compiled))
		for range 5 {
			known = append(known, timeInit(b, cacheOf(b, dir, compiler), code, Loaded))
		}
	}
	slices.Sort(first)
	slices.Sort(known)
	b.ReportMetric(milliseconds(first[len(first)/2]), "first-ms")
	b.ReportMetric(milliseconds(known[len(known)/2]), "known-ms")
	b.ReportMetric(milliseconds(known[0]), "known-least-ms")
	b.ReportMetric(float64(first[len(first)/2])/float64(known[len(known)/2]), "first/known")
}

func timeInit(b *testing.B, c *Cache, code string, want Origin) time.Duration {
	b.Helper()
	began := time.Now()
	action, err := c.Intake(code, Limits{})
	require.NoError(b, err)
	m, origin, err := c.Module(b.Context(), action)
	took := time.Since(began)
	require.NoError(b, err)
	require.Equal(b, want, origin)
	c.Remember(action)
	require.NoError(b, m.Close(b.Context()))
	return took
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
