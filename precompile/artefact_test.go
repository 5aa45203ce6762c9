package precompile

import (
	"bytes"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigestFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"", "0000000000000000"},
		{"123456789", "cbf43926e3069283"}, // the check values of CRC-32 and CRC-32C
	} {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(tc.text), 0o600))
		got, err := digestFile(path)
		require.NoError(t, err)
		require.Equal(t, tc.want, got, "digestFile of %q", tc.text)
	}
	_, err := digestFile(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestChecksumOfAFileCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600))
	content, err := mapFile(path)
	require.NoError(t, err)
	defer unmapFile(content)
	require.NoError(t, os.Truncate(path, 100))
	_, err = checksum(content, crc32.MakeTable(crc32.Castagnoli))
	require.ErrorContains(t, err, "read mapped file")
	_, err = checksum(content, crc32.IEEETable)
	require.ErrorContains(t, err, "read mapped file")
}
