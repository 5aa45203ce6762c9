package wazero

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

func madeTempDir(t *testing.T, dir string) *tempDir {
	t.Helper()
	s, err := newTempDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.remove() })
	require.NoError(t, os.WriteFile(filepath.Join(s.path, "file"), nil, 0o600))
	return s
}

// die leaves of a directory what the kernel leaves of a killed process's.
func (t *tempDir) die() error { return t.lock.Close() }

func TestTempDirOfTheDeadIsTakenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	strange := filepath.Join(dir, "strange")
	require.NoError(t, os.Mkdir(strange, 0o700))
	require.NoError(t, os.Symlink(strange, filepath.Join(dir, tempName+"link")))
	living, dead := madeTempDir(t, dir), madeTempDir(t, dir)
	require.NoError(t, dead.die())

	another := madeTempDir(t, dir)
	assert.NoDirExists(t, dead.path)
	for _, path := range []string{living.path, another.path, strange} {
		assert.DirExists(t, path)
	}
	require.NoError(t, living.remove())
	assert.NoDirExists(t, living.path)
}

// TestTempDirAtOnce has many make, leave and remove directories beside each other:
// nobody's is taken while it is held.
func TestTempDirAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 100 {
				s, err := newTempDir(dir)
				if !assert.NoError(t, err) {
					return
				}
				assert.DirExists(t, s.path)
				if n%2 == 0 {
					assert.NoError(t, s.die())
				} else {
					assert.NoError(t, s.remove())
				}
			}
		})
	}
	all.Wait()
	sweep(dir)
	assert.Empty(t, left(t, dir))
}

func left(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	return entries
}

// TestLoaderRemovesItsTempDir is about the way in which an engine ends by itself.
func TestLoaderRemovesItsTempDir(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	c, err := NewCompiler(t.Context(), engine.Config{CopyCode: true})
	require.NoError(t, err)
	_, err = c.loader.get()
	require.NoError(t, err)
	assert.Len(t, left(t, dir), 1)
	require.NoError(t, c.Close(t.Context()))
	assert.Empty(t, left(t, dir))
}
