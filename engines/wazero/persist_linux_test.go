package wazero

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// TestPersistKeepsImagesSparse has a snapshot of much that is zero stay small, in RAM and
// on disk: reading a file of zeros through a mapping makes pages of them.
func TestPersistKeepsImagesSparse(t *testing.T) {
	t.Parallel()
	const pages = 100
	i := writer(t, newTestCompiler(t), pages)
	_, err := i.Call(t.Context(), "write")
	require.NoError(t, err)
	m := i.module
	captured, err := m.Capture(i)
	require.NoError(t, err)
	defer captured.Close()
	contents := captured.(*snapshot).state.memories.contents
	require.EqualValues(t, pages*engine.PageSize, contents.size())

	dir := t.TempDir()
	before := allocated(t, contents.file.fd)
	require.NoError(t, m.Persist(captured, dir))
	require.Equal(t, before, allocated(t, contents.file.fd), "of the image")
	var info unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dir, memoryFile), &info))
	require.EqualValues(t, pages*engine.PageSize, info.Size)
	require.Less(t, info.Blocks*512, info.Size/2, "of the file")

	recalled, err := m.Recall(dir)
	require.NoError(t, err)
	defer recalled.Close()
	require.True(t, recalled.(*snapshot).state.memories.mapped(), "mapped from the file")
	require.True(t, bytes.Equal(contents.bytes, recalled.(*snapshot).state.memories.contents.bytes))
}

// allocated is what a file takes.
func allocated(t *testing.T, fd int) int64 {
	t.Helper()
	var info unix.Stat_t
	require.NoError(t, unix.Fstat(fd, &info))
	return info.Blocks * 512
}
