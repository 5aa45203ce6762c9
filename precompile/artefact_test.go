package precompile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigestFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"", "0000000000000000"},
		{"123456789123456789", "cbf43926cbf43926"}, // the check value of CRC-32
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte(tc.text), 0o600))
		for name, size := range map[string]int64{"read": smallFile, "mapped": smallFile + 1} {
			got, err := digestFile(dir, fileInfo{Path: "file", Size: size})
			require.NoError(t, err)
			require.Equal(t, tc.want, got, "digestFile of %q, %s", tc.text, name)
		}
	}
	for _, size := range []int64{smallFile, smallFile + 1} {
		_, err := digestFile(t.TempDir(), fileInfo{Path: "missing", Size: size})
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestChecksumOfAFileCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600))
	content, err := mapFile(path)
	require.NoError(t, err)
	defer unmapFile(content)
	require.NoError(t, os.Truncate(path, 100))
	_, err = checksum(content)
	require.ErrorContains(t, err, "read mapped file")
}
