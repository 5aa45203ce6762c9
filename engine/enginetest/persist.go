package enginetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// persister skips engines that keep no snapshots on disk.
func persister(t *testing.T, m engine.Module) engine.Persister {
	t.Helper()
	p, ok := m.(engine.Persister)
	if !ok {
		t.Skip("this engine keeps no snapshots on disk")
	}
	return p
}

// persisted is an instance with state in the last of its pages, the snapshot of it,
// and where that is kept.
func persisted(t *testing.T, m engine.Persister) (first engine.Instance, dir string) {
	t.Helper()
	first, _ = initialised(t, m)
	_, err := first.Call(t.Context(), "dirty", 12345)
	require.NoError(t, err)
	snapshot, err := m.Capture(first)
	require.NoError(t, err)
	dir = t.TempDir()
	require.NoError(t, m.Persist(snapshot, dir))
	require.NoError(t, snapshot.Close())
	return first, dir
}

func recall(t *testing.T, m engine.Persister, dir string) engine.Snapshot {
	t.Helper()
	snapshot, err := m.Recall(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, snapshot.Close()) })
	return snapshot
}

// testPersistence holds for snapshots that are copied and for such that are mapped.
func testPersistence(t *testing.T, e *env) {
	for _, pages := range []int{2, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			src := stateful(pages)
			first, dir := persisted(t, persister(t, e.module(t, src)))
			want, sum := bytes.Clone(first.Memory()), call(t, first, "sum")

			other := &env{open: e.open, config: e.config, rt: e.another(t)}
			later := persister(t, other.module(t, src))
			snapshot := recall(t, later, dir)
			require.NoError(t, os.RemoveAll(dir))
			assert.Positive(t, snapshot.Size())
			for range 3 {
				instance := restore(t, later, snapshot)
				require.True(t, bytes.Equal(want, instance.Memory()), "memory of an instance")
				require.EqualValues(t, sum, call(t, instance, "sum"))
				reset, ok := instance.(engine.Resetter)
				if !ok {
					continue
				}
				_, err := instance.Call(t.Context(), "dirty", 54321)
				require.NoError(t, err)
				require.NoError(t, reset.Reset())
				require.True(t, bytes.Equal(want, instance.Memory()), "memory after a reset")
				require.EqualValues(t, sum, call(t, instance, "sum"))
			}
		})
	}
}

// testPersistenceRefuses has what a caller's checksums would find, and what they would
// not: the state of another module.
func testPersistenceRefuses(t *testing.T, e *env) {
	m := persister(t, e.module(t, stateful(40)))
	_, whole := persisted(t, m)
	eachFile(t, whole, func(path string, size int64) error {
		name := filepath.Base(path)
		for _, left := range []int64{0, 1, size / 2, size - 1, size + 1} {
			dir := copyOf(t, whole)
			require.NoError(t, os.Truncate(filepath.Join(dir, name), left))
			_, err := m.Recall(dir)
			assert.Error(t, err, "%s of %d bytes rather than %d", name, left, size)
		}
		return nil
	})
	_, err := m.Recall(filepath.Join(whole, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)

	for name, src := range map[string]string{
		"a larger memory": stateful(41),
		"no memory":       `(global $g (mut i32) (i32.const 1))`,
		"more globals":    strings.Replace(stateful(40), "(global $i", "(global $more (mut i32) (i32.const 1)) (global $i", 1),
	} {
		other := persister(t, e.module(t, src))
		_, err := other.Recall(whole)
		require.Error(t, err, "of a module with %s", name)
		require.Error(t, other.Persist(captured(t, m), t.TempDir()), "for a module with %s", name)
	}
	config := e.config
	config.SnapshotBytes = 1 << 20
	small := &env{open: e.open, config: config, rt: e.with(t, config)}
	_, err = persister(t, small.module(t, stateful(40))).Recall(whole)
	require.ErrorIs(t, err, engine.ErrNotNow, "past the bound on snapshots")
}

func captured(t *testing.T, m engine.Snapshotter) engine.Snapshot {
	t.Helper()
	_, snapshot := initialised(t, m)
	return snapshot
}
