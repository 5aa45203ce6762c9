package wazero

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// TestPersistKeepsImagesSparse has a snapshot of much that is zero stay small in RAM, and
// a large one on disk, too: reading a file of zeros through a mapping makes pages of
// them.
func TestPersistKeepsImagesSparse(t *testing.T) {
	t.Parallel()
	for _, pages := range []int{100, wholeBytes/engine.PageSize + 1} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			t.Parallel()
			persistsSparse(t, pages)
		})
	}
}

func persistsSparse(t *testing.T, pages int) {
	t.Helper()
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
	require.Equal(t, info.Size > wholeBytes, info.Blocks*512 < info.Size/2, "%d blocks of the file", info.Blocks)

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
