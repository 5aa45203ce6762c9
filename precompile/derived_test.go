package precompile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// actionNo is the n-th of many actions, known and without its binary.
func actionNo(n int) Action { return Action{Hash: sha256.Sum256(binaryNo(n))} }

func writeNote(text string) func(dir string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, "note"), []byte(text), 0o600) }
}

// noteOf is what was written under a name, "" if nothing was.
func noteOf(t *testing.T, d *Derived, name string) string {
	t.Helper()
	var note []byte
	sound := d.Read(name, func(dir string) (err error) {
		note, err = os.ReadFile(filepath.Join(dir, "note"))
		return err
	})
	require.Equal(t, sound, note != nil)
	return string(note)
}

func TestDerived(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openCache(t, dir, newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	ask(t, c, binaryNo(2))
	d := c.Derived(actionNo(1))
	require.Empty(t, noteOf(t, d, "a"))
	d.Write("a", writeNote("one"))
	d.Write("b", writeNote("two"))
	d.Write("a", writeNote("three"))
	require.Equal(t, "one", noteOf(t, d, "a"), "what was there stays")
	require.Equal(t, "two", noteOf(t, d, "b"))
	require.Empty(t, noteOf(t, c.Derived(actionNo(2)), "a"), "of another module")

	later := openCache(t, dir, newFake(), CacheConfig{})
	require.Equal(t, "one", noteOf(t, later.Derived(actionNo(1)), "a"), "after a restart")
	other := newFake()
	other.fingerprint = "fake v2"
	require.Empty(t, noteOf(t, openCache(t, dir, other, CacheConfig{}).Derived(actionNo(1)), "a"), "for another engine")
	require.Equal(t, CacheStats{Compiled: 2, Stored: 2, Derived: 2}, c.Stats())
}

// TestExpect has what is expected read as anything else is, and let go if it is not.
func TestExpect(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	d := c.Derived(actionNo(1))
	done := d.Expect("a")
	require.Empty(t, noteOf(t, d, "a"), "what is not there")
	done()
	d.Write("a", writeNote("one"))
	d.Write("b", writeNote("two"))

	done = d.Expect("a")
	require.Equal(t, "two", noteOf(t, d, "b"), "another")
	for range 2 {
		require.Equal(t, "one", noteOf(t, d, "a"))
	}
	done()
	done, again := d.Expect("b"), d.Expect("b")
	path := filepath.Join(c.dir, d.key("b"))
	<-d.expected.Load().checked
	require.False(t, c.evictOne(path), "while it is expected")
	require.Equal(t, "two", noteOf(t, d, "b"))
	done()
	again()
	require.True(t, c.evictOne(path), "when it is no more")
}

// TestExpectedAndDamaged has what is damaged removed by whoever has it open last.
func TestExpectedAndDamaged(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"before": false, "after it was checked": true} {
		for reader, read := range map[string]func(c *Cache, d *Derived){
			"nobody":      func(*Cache, *Derived) {},
			"who expects": func(_ *Cache, d *Derived) { require.Empty(t, noteOf(t, d, "a")) },
			"another":     func(c *Cache, _ *Derived) { require.Empty(t, noteOf(t, c.Derived(actionNo(1)), "a")) },
		} {
			if later && reader != "another" {
				continue // nobody sees it
			}
			c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
			ask(t, c, binaryNo(1))
			d := c.Derived(actionNo(1))
			d.Write("a", writeNote("one"))
			damage := func() {
				require.NoError(t, os.WriteFile(filepath.Join(c.dir, d.key("a"), "code", "note"), []byte("two"), 0o600))
			}
			if !later {
				damage()
			}
			done := d.Expect("a")
			<-d.expected.Load().checked
			if later {
				damage()
			}
			read(c, d)
			done()
			require.EqualValues(t, 1, c.Stats().Dropped, "damaged %s, read by %s", name, reader)
			requireNoTemps(t, c.dir)
		}
	}
}

func TestDerivedIsBesideAnArtefact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := openCache(t, dir, newFake(), CacheConfig{})
	c.Derived(actionNo(1)).Write("a", writeNote("one"))
	requireEmpty(t, dir)
	require.Nil(t, c.Derived(Action{Binary: []byte("small")}))
	require.Nil(t, Uncached(newFake()).Derived(actionNo(1)))
}

func TestDamagedDerivedIsRemoved(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	d := c.Derived(actionNo(1))
	for name, damage := range map[string]func(path string) error{
		"changed": func(path string) error {
			return os.WriteFile(filepath.Join(path, "code", "note"), []byte("two"), 0o600)
		},
		"missing":  func(path string) error { return os.Remove(filepath.Join(path, "code", "note")) },
		"too much": func(path string) error { return os.WriteFile(filepath.Join(path, "code", "more"), nil, 0o600) },
		"open":     func(path string) error { return os.Chmod(path, 0o722) },
	} {
		d.Write(name, writeNote("one"))
		require.NoError(t, damage(filepath.Join(c.dir, d.key(name))), name)
		require.Empty(t, noteOf(t, d, name), name)
		d.Write(name, writeNote("again"))
		require.Equal(t, "again", noteOf(t, d, name), name)
	}
	require.False(t, d.Read("changed", func(string) error { return errors.New("not what it should be") }))
	require.Empty(t, noteOf(t, d, "changed"), "after a reader had an error for it")
	require.Equal(t, Loaded, ask(t, c, binaryNo(1)))
	require.Zero(t, c.Stats().Failures)
}

func TestDerivedThatIsOfNoUseNow(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	d := c.Derived(actionNo(1))
	d.Write("a", writeNote("one"))
	for _, err := range []error{engine.ErrNotNow, syscall.EMFILE} {
		require.False(t, d.Read("a", func(string) error { return fmt.Errorf("read: %w", err) }))
	}
	require.Equal(t, "one", noteOf(t, d, "a"))
	require.Zero(t, c.Stats().Dropped)
}

func TestDerivedIsBounded(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{MaxBytes: 64 << 10})
	ask(t, c, binaryNo(1))
	d := c.Derived(actionNo(1))
	d.Write("a", writeNote(strings.Repeat("x", 1<<10)))
	require.NotEmpty(t, noteOf(t, d, "a"))
	d.Write("b", writeNote(strings.Repeat("x", 1<<10+1)))
	require.Empty(t, noteOf(t, d, "b"))
	require.Zero(t, c.Stats().Failures)
}

func TestDerivedThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	ask(t, c, binaryNo(1))
	d := c.Derived(actionNo(1))
	d.Write("a", func(string) error { return errors.New("not the disk's fault") })
	require.Zero(t, c.Stats().Failures)
	d.Write("a", func(string) error { return &os.PathError{Op: "write", Err: syscall.ENOSPC} })
	require.Empty(t, noteOf(t, d, "a"))
	require.EqualValues(t, 1, c.Stats().Failures)
	only(t, c.dir)
	d.Write("a", writeNote("one"))
	require.Empty(t, noteOf(t, d, "a"), "for a while after that")
}

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := openCache(t, dir, newFake(), CacheConfig{})
		tick := func() { time.Sleep(time.Second) }
		for n := range 4 {
			ask(t, c, binaryNo(n))
			tick()
		}
		ask(t, c, binaryNo(1))
		tick()
		c.Derived(actionNo(0)).Write("a", writeNote("one"))
		tick()
		another := newFake()
		another.fingerprint = "fake v2"
		ask(t, openCache(t, dir, another, CacheConfig{}), binaryNo(0))

		require.Equal(t, "1 3 2", recent(c, 3))
		require.Equal(t, "1 3 2 0", recent(c, 100))
		require.Empty(t, recent(c, 0))
		require.Empty(t, recent(Uncached(newFake()), 100))
		for _, a := range c.Recent(4) {
			_, origin, err := c.Module(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, Loaded, origin)
		}
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, c.key(actionNo(3).Hash), headerFile), nil, 0o600))
		require.NotContains(t, recent(c, 100), "3", "whose header is damaged")
	})
}

// recent lists the numbers of the actions that were used last.
func recent(c *Cache, n int) string {
	var all []string
	for _, a := range c.Recent(n) {
		for i := range 10 {
			if a.Hash == actionNo(i).Hash {
				all = append(all, strconv.Itoa(i))
			}
		}
	}
	return strings.Join(all, " ")
}
