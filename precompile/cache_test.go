package precompile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// fakeCompiler is an engine whose machine code is the hash of the binary, in
// two files. It believes what it reads, as an engine does.
type fakeCompiler struct {
	fingerprint        string
	compiled, loaded   atomic.Int64
	precompiled        atomic.Int64
	whilePrecompiling  func() error // between its two files; may be nil
	whileLoading       func(dir string)
	failLoad, padBytes int
	checks             map[string]engine.Check
}

func newFake() *fakeCompiler { return &fakeCompiler{fingerprint: "fake v1"} }

type fakeModule struct {
	engine.Module
	code string
}

func (fakeModule) Close(context.Context) error { return nil }

func codeOf(binary []byte) string { return fmt.Sprintf("%x", sha256.Sum256(binary)) }

var errInvalid = &engine.InvalidModuleError{Err: errors.New("bad binary")}

func (f *fakeCompiler) Info() engine.Info              { return engine.Info{Name: "fake"} }
func (f *fakeCompiler) Close(context.Context) error    { return nil }
func (f *fakeCompiler) Fingerprint() string            { return f.fingerprint }
func (f *fakeCompiler) Check(file string) engine.Check { return f.checks[file] }

func (f *fakeCompiler) Compile(_ context.Context, binary []byte) (engine.Module, error) {
	f.compiled.Add(1)
	if bytes.HasPrefix(binary, []byte("invalid")) {
		return nil, errInvalid
	}
	return fakeModule{code: codeOf(binary)}, nil
}

func (f *fakeCompiler) Precompile(ctx context.Context, binary []byte, dir string) error {
	f.precompiled.Add(1)
	if bytes.HasPrefix(binary, []byte("invalid")) {
		return errInvalid
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "v1"), 0o777); err != nil {
		return err
	}
	code := codeOf(binary)
	if err := os.WriteFile(filepath.Join(dir, "v1", "text"), []byte(code[:32]), 0o666); err != nil {
		return err
	}
	if f.whilePrecompiling != nil {
		if err := f.whilePrecompiling(); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "rodata"), []byte(code[32:]+strings.Repeat(" ", f.padBytes)), 0o666)
}

func (f *fakeCompiler) Load(ctx context.Context, _ []byte, dir string) (engine.Module, error) {
	if f.whileLoading != nil {
		f.whileLoading(dir)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.failLoad > 0 {
		f.failLoad--
		return nil, errors.New("load failed")
	}
	text, err := os.ReadFile(filepath.Join(dir, "v1", "text"))
	if err != nil {
		return nil, err
	}
	rodata, err := os.ReadFile(filepath.Join(dir, "rodata"))
	if err != nil {
		return nil, err
	}
	f.loaded.Add(1)
	return fakeModule{code: string(text) + strings.TrimRight(string(rodata), " ")}, nil
}

// binaryNo is the n-th of many binaries large enough to be kept.
func binaryNo(n int) []byte {
	return append(fmt.Appendf(nil, "binary %d", n), make([]byte, SmallBinary)...)
}

// ask has the cache give a module and checks that it is the right one.
func ask(t testing.TB, c *Cache, binary []byte) Origin {
	t.Helper()
	m, origin, err := c.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.NoError(t, err)
	require.Equal(t, codeOf(binary), m.(fakeModule).code, "code of the module")
	return origin
}

func openCache(t testing.TB, dir string, p engine.Precompiler, config CacheConfig) *Cache {
	t.Helper()
	c, err := NewCache(dir, p, config)
	require.NoError(t, err)
	return c
}

// only is the path of the only artefact in dir.
func only(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "entries of the cache")
	require.True(t, isKey(entries[0].Name()), "entry %q", entries[0].Name())
	return filepath.Join(dir, entries[0].Name())
}

func TestCacheCompilesOnce(t *testing.T) {
	t.Parallel()
	dir, fake := filepath.Join(t.TempDir(), "a", "cache"), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	require.Equal(t, Compiled, ask(t, c, binaryNo(2)))

	again := openCache(t, dir, newFake(), CacheConfig{})
	require.Equal(t, Loaded, ask(t, again, binaryNo(1)), "after a restart")
	require.Equal(t, CacheStats{Loaded: 1, Compiled: 2, Stored: 2}, c.Stats())
	require.EqualValues(t, 2, fake.precompiled.Load())
	require.Zero(t, fake.compiled.Load())
}

func TestCacheIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	c := openCache(t, dir, newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s has mode %v", path, info.Mode())
		return nil
	}))
}

func TestCacheRefusesDirectoriesOfOthers(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]fs.FileMode{"group": 0o770, "world": 0o702} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Chmod(dir, mode))
			_, err := NewCache(dir, newFake(), CacheConfig{})
			require.ErrorContains(t, err, "must be ours alone: others can write it")
		})
	}
	t.Run("owner", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Skip("needs the right to give files away:", err)
		}
		_, err := NewCache(dir, newFake(), CacheConfig{})
		require.ErrorContains(t, err, "it belongs to user 12345")
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := NewCache(path, newFake(), CacheConfig{})
		require.Error(t, err)
	})
}

func TestSmallBinariesAreNotKept(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	small := []byte("small")
	require.Equal(t, Compiled, ask(t, c, small))
	require.Equal(t, Compiled, ask(t, c, small))
	require.EqualValues(t, 2, fake.compiled.Load())
	requireEmpty(t, dir)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.Equal(t, keyFile, e.Name(), "what is left")
	}
}

func TestUncached(t *testing.T) {
	t.Parallel()
	c := Uncached(newFake())
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
	require.Equal(t, CacheStats{Compiled: 2}, c.Stats())
}

func TestInvalidBinary(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	binary := append([]byte("invalid"), make([]byte, SmallBinary)...)
	_, _, err := c.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.ErrorIs(t, err, errInvalid)
	require.Zero(t, fake.compiled.Load(), "compiled again what was invalid")
	requireEmpty(t, dir)
	require.Equal(t, CacheStats{}, c.Stats())
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	binary := binaryNo(1)
	_, _, err := c.Module(ctx, Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.ErrorIs(t, err, cause)
	requireEmpty(t, dir)

	ask(t, c, binary)
	_, _, err = c.Module(ctx, Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.ErrorIs(t, err, cause, "while loading")
	require.Equal(t, Loaded, ask(t, c, binary), "a canceled load is not the artefact's fault")
	require.Zero(t, c.Stats().Failures)
}

// damages is what can happen to an artefact in path.
func damages(t *testing.T) map[string]func(t *testing.T, path string) {
	write := func(name, content string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte(content), 0o600))
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(filepath.Join(path, name))) }
	}
	replace := func(name string, by func(target, path string) error) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			moved := filepath.Join(t.TempDir(), "moved")
			require.NoError(t, os.Rename(filepath.Join(path, name), moved))
			require.NoError(t, by(moved, filepath.Join(path, name)))
		}
	}
	mode := func(name string, mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { require.NoError(t, os.Chmod(filepath.Join(path, name), mode)) }
	}
	return map[string]func(*testing.T, string){
		"file changed":          write("code/rodata", strings.Repeat("a", 32)),
		"file emptied":          write("code/rodata", ""),
		"file missing":          remove("code/rodata"),
		"file too many":         write("code/more", "x"),
		"file beside":           write("more", "x"),
		"code missing":          remove("code"),
		"header missing":        remove("header"),
		"header emptied":        write("header", ""),
		"header of garbage":     write("header", "garbage\n{}"),
		"header huge":           write("header", strings.Repeat("x", 2<<20)),
		"everything gone":       func(t *testing.T, path string) { remove("code")(t, path); remove("header")(t, path) },
		"file is a link":        replace("code/rodata", os.Symlink),
		"header is a link":      replace("header", os.Symlink),
		"code is a link":        replace("code", os.Symlink),
		"artefact is a link":    replace("", os.Symlink),
		"file is a pipe":        replace("code/rodata", func(_, path string) error { return syscall.Mkfifo(path, 0o600) }),
		"header is a pipe":      replace("header", func(_, path string) error { return syscall.Mkfifo(path, 0o600) }),
		"artefact is a file":    replace("", func(_, path string) error { return os.WriteFile(path, nil, 0o600) }),
		"file others can write": mode("code/rodata", 0o602),
		"dir others can write":  mode("code", 0o720),
		"all others can write":  mode("", 0o722),
		"of another engine": func(t *testing.T, path string) {
			other := newFake()
			other.fingerprint = "fake v2"
			dir := t.TempDir()
			ask(t, openCache(t, dir, other, CacheConfig{}), binaryNo(1))
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.Rename(only(t, dir), path))
		},
	}
}

func TestDamagedArtefactsAreCompiledAgain(t *testing.T) {
	t.Parallel()
	for name, damage := range damages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			dir, fake := t.TempDir(), newFake()
			c := openCache(t, dir, fake, CacheConfig{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
			ask(t, c, binaryNo(1))
			damage(t, only(t, dir))
			fake.loaded.Store(0)

			require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
			require.EqualValues(t, 1, fake.loaded.Load(), "loads: only what was just compiled")
			require.EqualValues(t, 1, c.Stats().Dropped)
			require.Contains(t, logs.String(), "artefact dropped")
			require.Zero(t, c.Stats().Failures)
			require.Equal(t, Loaded, ask(t, c, binaryNo(1)), "after it was compiled again")
			only(t, dir)
		})
	}
}

// TestEveryBit flips each bit of each file of an artefact: the engine never
// sees one of them.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	path := only(t, dir)
	key := filepath.Base(path)
	for _, name := range []string{"header", "code/rodata", "code/v1/text"} {
		file := filepath.Join(path, name)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for i := range 8 * len(content) {
			flipped := bytes.Clone(content)
			flipped[i/8] ^= 1 << (i % 8)
			require.NoError(t, os.WriteFile(file, flipped, 0o600))
			require.Error(t, verify(t, path, key), "bit %d of %s", i, name)
		}
		for i := range content {
			require.NoError(t, os.WriteFile(file, content[:i], 0o600))
			require.Error(t, verify(t, path, key), "%s cut at %d", name, i)
		}
		require.NoError(t, os.WriteFile(file, content, 0o600))
		require.NoError(t, verify(t, path, key))
	}
}

func verify(t *testing.T, path, key string) error {
	t.Helper()
	a, err := openArtefact(path, syscall.LOCK_SH)
	require.NoError(t, err)
	defer a.close()
	rest, err := a.verify(key, checkFirst)
	require.Empty(t, rest)
	return err
}

// TestCheckInLoad is not so only where an engine loads elsewhere: somebody must find the
// damage who can have the artefact made again.
func TestCheckInLoad(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	fake.checks = map[string]engine.Check{"rodata": engine.CheckInLoad}
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	path := filepath.Join(only(t, dir), "code", "rodata")
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	damaged := bytes.Clone(whole)
	damaged[0] ^= 1
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	m, origin, err := c.Module(t.Context(), actionNo(1))
	require.NoError(t, err)
	require.Equal(t, Loaded, origin)
	require.NotEqual(t, codeOf(binaryNo(1)), m.(fakeModule).code, "what this engine does not check")

	open, origin, err := c.Artefact(t.Context(), binaryNo(1), sha256.Sum256(binaryNo(1)))
	require.NoError(t, err)
	require.Equal(t, Compiled, origin)
	require.NoError(t, open.Close())
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))

	require.NoError(t, os.Truncate(path, 1))
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)), "of another size")
}

// TestCheckBeside has the engine load what is damaged, and nobody get what came of that.
func TestCheckBeside(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	fake.checks = map[string]engine.Check{"rodata": engine.CheckBeside}
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	for _, damage := range []struct {
		loads int64 // with that of what is compiled
		of    func(content []byte) []byte
	}{
		{2, func(content []byte) []byte { content[0] ^= 1; return content }},
		{1, func(content []byte) []byte { return append(content, 0) }},
	} {
		path := filepath.Join(only(t, dir), "code", "rodata")
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, damage.of(content), 0o600))
		loaded, dropped := fake.loaded.Load(), c.Stats().Dropped
		require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
		require.Equal(t, damage.loads, fake.loaded.Load()-loaded, "loads")
		require.Equal(t, dropped+1, c.Stats().Dropped, "dropped")
		require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	}
}

func TestEngineThatCannotLoad(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	fake.failLoad = 1
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)), "the artefact that does not load is dropped")
	require.EqualValues(t, 1, c.Stats().Dropped)

	require.NoError(t, os.RemoveAll(only(t, dir)))
	fake.failLoad = 1
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)), "nor what has just been written")
	require.EqualValues(t, 1, fake.compiled.Load())
	requireEmpty(t, dir)
}

// failingDisk fails its n-th operation, counted from 1.
type failingDisk struct {
	osDisk
	n    int
	done int
}

var errFull = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}

func (d *failingDisk) step() error {
	if d.done++; d.done == d.n {
		return errFull
	}
	return nil
}

func (d *failingDisk) mkdir(path string) error {
	return cmpErr(d.step(), func() error { return d.osDisk.mkdir(path) })
}

func (d *failingDisk) writeFile(path string, content []byte) error {
	if err := d.step(); err != nil {
		_ = d.osDisk.writeFile(path, content[:len(content)/2])
		return err
	}
	return d.osDisk.writeFile(path, content)
}

func (d *failingDisk) rename(from, to string) error {
	return cmpErr(d.step(), func() error { return d.osDisk.rename(from, to) })
}

func (d *failingDisk) removeAll(path string) error {
	return cmpErr(d.step(), func() error { return d.osDisk.removeAll(path) })
}

func cmpErr(err error, otherwise func() error) error {
	if err != nil {
		return err
	}
	return otherwise()
}

// TestDiskThatFails fails every single step of a life of a cache in turn: it
// stores, evicts, drops and loads, and always gives the right module.
func TestDiskThatFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		if !failStep(t, n) {
			require.Greater(t, n, 15, "steps that were failed")
			return
		}
	}
}

func failStep(t *testing.T, n int) (failed bool) {
	synctest.Test(t, func(t *testing.T) {
		dir, fake, d := t.TempDir(), newFake(), &failingDisk{n: n}
		fake.padBytes = 1000
		c, err := newCache(dir, fake, CacheConfig{MaxBytes: 5000}, d)
		require.NoError(t, err)
		for i := range 5 {
			ask(t, c, binaryNo(i))
			time.Sleep(2 * diskPause)
		}
		for _, damage := range []string{"code/rodata", "header"} {
			ask(t, c, binaryNo(9))
			_ = os.Truncate(filepath.Join(dir, c.key(sha256.Sum256(binaryNo(9))), damage), 1)
			ask(t, c, binaryNo(9))
			time.Sleep(2 * diskPause)
		}
		ask(t, c, binaryNo(9))
		require.Equal(t, Loaded, ask(t, c, binaryNo(9)), "after the disk works again, step %d", n)
		failed = d.done >= n
	})
	return failed
}

func TestNothingIsWrittenForAWhileAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, fake := t.TempDir(), newFake()
		c := openCache(t, dir, fake, CacheConfig{})
		fake.whilePrecompiling = func() error { return errFull }
		require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
		require.Equal(t, Compiled, ask(t, c, binaryNo(2)))
		require.EqualValues(t, 1, fake.precompiled.Load(), "tries to write")
		require.EqualValues(t, 2, fake.compiled.Load())
		require.EqualValues(t, 1, c.Stats().Failures)
		requireEmpty(t, dir)

		time.Sleep(diskPause)
		fake.whilePrecompiling = nil
		ask(t, c, binaryNo(1))
		require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	})
}

func TestEvictsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, fake := t.TempDir(), newFake()
		fake.padBytes = 100 << 10
		c := openCache(t, dir, fake, CacheConfig{MaxBytes: 600 << 10})
		tick := func() { time.Sleep(time.Second) }
		for i := range 4 {
			ask(t, c, binaryNo(i))
			tick()
		}
		require.Equal(t, Loaded, ask(t, c, binaryNo(0)))
		tick()
		other := openCache(t, dir, newFake(), CacheConfig{})
		require.Equal(t, Loaded, ask(t, other, binaryNo(1)), "by another process")
		tick()
		ask(t, c, binaryNo(4))
		tick()
		ask(t, c, binaryNo(5)) // is one too many

		require.Equal(t, "0 1 3 4 5", present(c, 6))
		require.EqualValues(t, 1, c.Stats().Evicted)
		_, total := c.scan()
		require.LessOrEqual(t, total, c.maxBytes/10*9, "what an eviction leaves")
	})
}

// present lists which of the first n binaries have an artefact.
func present(c *Cache, n int) string {
	var all []string
	for i := range n {
		if _, err := os.Stat(filepath.Join(c.dir, c.key(sha256.Sum256(binaryNo(i))))); err == nil {
			all = append(all, strconv.Itoa(i))
		}
	}
	return strings.Join(all, " ")
}

func TestEvictionCountsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	fake.padBytes = 100 << 10
	ask(t, openCache(t, dir, fake, CacheConfig{}), binaryNo(0))
	ask(t, openCache(t, dir, fake, CacheConfig{}), binaryNo(1))
	c := openCache(t, dir, fake, CacheConfig{MaxBytes: 250 << 10})
	ask(t, c, binaryNo(2))
	require.EqualValues(t, 1, c.Stats().Evicted)
}

func TestNeverEvictsWhatIsBeingLoaded(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	fake.padBytes = 100 << 10
	slow := openCache(t, dir, fake, CacheConfig{})
	ask(t, slow, binaryNo(0))
	require.NoError(t, os.Chtimes(only(t, dir), time.Time{}, time.Unix(1, 0)), "the oldest by far")

	evictor := newFake()
	evictor.padBytes = 100 << 10
	c := openCache(t, dir, evictor, CacheConfig{MaxBytes: 150 << 10})
	fake.whileLoading = func(string) {
		ask(t, c, binaryNo(1))
		ask(t, c, binaryNo(2))
	}
	require.Equal(t, Loaded, ask(t, slow, binaryNo(0)))
	require.Positive(t, c.Stats().Evicted)
	fake.whileLoading = nil
	require.Equal(t, Loaded, ask(t, slow, binaryNo(0)))
}

func TestDroppingSparesWhatCameAfter(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	path := only(t, dir)
	old, err := openArtefact(path, syscall.LOCK_SH)
	require.NoError(t, err)
	defer old.close()
	require.NoError(t, c.remove(path))
	ask(t, c, binaryNo(1))

	c.drop(old, errors.New("was bad"))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
}

// Who reads an artefact goes by its name, and must not take for it what came after.
func TestReadersNoticeWhatCameAfter(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	path := only(t, dir)
	replace := func(string) {
		require.NoError(t, c.remove(path))
		ask(t, c, binaryNo(1))
	}
	old, err := openArtefact(path, syscall.LOCK_SH)
	require.NoError(t, err)
	defer old.close()
	replace("")
	_, err = old.verify(filepath.Base(path), checkFirst)
	require.ErrorIs(t, err, errGone)

	fake.whileLoading = func(string) {
		fake.whileLoading = nil
		replace("")
	}
	require.Equal(t, Compiled, ask(t, c, binaryNo(1)))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	require.Zero(t, c.Stats().Dropped)
}

// beforeRename is a disk on which something happens before the next rename.
type beforeRename struct {
	disk
	what func()
}

func (d *beforeRename) rename(from, to string) error {
	if what := d.what; what != nil {
		d.what = nil
		what()
	}
	return d.disk.rename(from, to)
}

// Of two who find one artefact damaged at the same time neither takes that for the
// disk's failure, nor removes the sound one that came after.
func TestTwoDropOne(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(1))
	open := func() *artefact {
		a, err := openArtefact(only(t, dir), syscall.LOCK_SH)
		require.NoError(t, err)
		t.Cleanup(a.close)
		return a
	}
	first, second := open(), open()
	c.disk = &beforeRename{disk: c.disk, what: func() {
		c.drop(second, errors.New("is bad"))
		ask(t, c, binaryNo(1))
	}}
	c.drop(first, errors.New("is bad"))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	require.Zero(t, c.Stats().Failures)
	require.EqualValues(t, 1, c.Stats().Dropped)
	requireNoTemps(t, dir)
}

// Workers load from what is open, whatever becomes of its name.
func TestOpenArtefactKeepsItsFiles(t *testing.T) {
	t.Parallel()
	dir, fake := t.TempDir(), newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	binary := binaryNo(1)
	ask(t, c, binary)
	open, _, err := c.Artefact(t.Context(), binary, sha256.Sum256(binary))
	require.NoError(t, err)
	a, err := openArtefact(only(t, dir), syscall.LOCK_SH)
	require.NoError(t, err)
	c.drop(a, errors.New("too many open files"))
	a.close()
	age(t, dir)
	openCache(t, dir, fake, CacheConfig{})
	names, err := open.Readdirnames(-1)
	require.NoError(t, err)
	require.Contains(t, names, headerFile)
	require.NoError(t, open.Close())
	requireNoLeftovers(t, dir)
}

// age makes leftovers of what is being written or removed.
func age(t *testing.T, dir string) {
	t.Helper()
	temps, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	require.NoError(t, err)
	old := time.Now().Add(-2 * tempAge)
	for _, temp := range temps {
		require.NoError(t, os.Chtimes(temp, old, old))
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leave := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Join(path, "code"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "code", "x"), nil, 0o600))
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, then, then))
	}
	leave("tmp-old", 2*time.Hour)
	leave("tmp-young", 10*time.Minute)
	leave("notes", 2*time.Hour)
	openCache(t, dir, newFake(), CacheConfig{})
	require.NoDirExists(t, filepath.Join(dir, "tmp-old"))
	require.DirExists(t, filepath.Join(dir, "tmp-young"))
	require.DirExists(t, filepath.Join(dir, "notes"))
}

// hammerCache has many goroutines ask two caches on one directory, small enough
// to evict all the time, while artefacts are damaged.
func hammerCache(t *testing.T, dir string, rounds int) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range 8 {
		fake := newFake()
		fake.padBytes = 4 << 10
		c := openCache(t, dir, fake, CacheConfig{MaxBytes: 40 << 10})
		wg.Go(func() {
			for i := range rounds {
				binary := binaryNo((i*7 + worker) % 16)
				m, _, err := c.Module(context.Background(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
				if !assert.NoError(t, err) || !assert.Equal(t, codeOf(binary), m.(fakeModule).code) {
					return
				}
				if i%10 == 0 {
					damageUnused(filepath.Join(dir, c.key(sha256.Sum256(binary))))
				}
			}
		})
	}
	wg.Wait()
}

// damageUnused spares an artefact that is being loaded: between check and use
// nothing could be done about it.
func damageUnused(path string) {
	a, err := openArtefact(path, syscall.LOCK_EX)
	if err == nil {
		// By what is locked, not by a name that may lead elsewhere by now.
		_ = os.Truncate(fmt.Sprintf("/proc/self/fd/%d/code/rodata", a.lock.Fd()), 7)
	}
	if a != nil {
		a.close()
	}
}

func TestHammer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hammerCache(t, dir, 100)
	requireNoLeftovers(t, dir)
}

// requireNoLeftovers wants nothing left that the next executor does not remove. What is
// open stays, and a process that another test just starts holds open for a moment what
// is open here.
func requireNoLeftovers(t *testing.T, dir string) {
	t.Helper()
	age(t, dir)
	for range 100 {
		openCache(t, dir, newFake(), CacheConfig{})
		if len(temps(t, dir)) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	requireNoTemps(t, dir)
}

func requireNoTemps(t *testing.T, dir string) {
	t.Helper()
	require.Empty(t, temps(t, dir))
}

// temps are what is being written or removed in a directory.
func temps(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	require.NoError(t, err)
	return names
}

// What this test binary does when it is started as a helper process.
const (
	helperVariable  = "PRECOMPILE_TEST_HELPER"
	helperHammer    = "hammer"
	helperStall     = "stall"
	helperFull      = "full"
	helperNeighbour = "neighbour"
)

// TestHelper is no test: it is what the processes of other tests do.
func TestHelper(t *testing.T) {
	role, dir, _ := strings.Cut(os.Getenv(helperVariable), ":")
	switch role {
	case helperHammer:
		hammerCache(t, dir, 100)
	case helperStall:
		stall(t, dir)
	case helperFull:
		fillDisk(t, dir)
	case helperNeighbour:
		neighbour(t, dir)
	default:
		t.Skip("only runs as a helper process")
	}
}

// stall stores artefacts, tells, and stops for good in the middle of the next.
func stall(t *testing.T, dir string) {
	fake := newFake()
	c := openCache(t, dir, fake, CacheConfig{})
	ask(t, c, binaryNo(0))
	ask(t, c, binaryNo(1))
	fake.whilePrecompiling = func() error {
		fmt.Fprintln(os.Stdout, "stalled")
		select {}
	}
	ask(t, c, binaryNo(2))
}

func helper(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), helperVariable+"="+role+":"+dir)
	return cmd
}

func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := helper(t, helperHammer, dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	hammerCache(t, dir, 100)
	require.NoError(t, cmd.Wait(), "%s", &said)
	require.Contains(t, said.String(), "--- PASS: TestHelper")
	requireNoLeftovers(t, dir)
}

func TestKilledInTheMiddleOfWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := helper(t, helperStall, dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "stalled" {
			break
		}
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())

	c := openCache(t, dir, newFake(), CacheConfig{})
	require.Equal(t, Loaded, ask(t, c, binaryNo(0)))
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	require.Equal(t, Compiled, ask(t, c, binaryNo(2)))
	require.Equal(t, Loaded, ask(t, c, binaryNo(2)))

	temps, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	require.NoError(t, err)
	require.Len(t, temps, 1, "what the killed process left")
	requireNoLeftovers(t, dir)
}
