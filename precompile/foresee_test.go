package precompile

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForesee(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), newFake(), CacheConfig{})
	code := uploadNo(t, 1)
	for len(code) < BeginningBytes { // base64 of an archive may be followed by white space
		code += strings.Repeat("\n", BeginningBytes)
	}
	beginning := []byte(code[:BeginningBytes])
	_, ok := c.Foresee(beginning)
	require.False(t, ok, "before it was seen")
	action, _ := initialize(t, c, code)
	foreseen, ok := c.Foresee(beginning)
	require.True(t, ok)
	require.Equal(t, Action{Hash: action.Hash}, foreseen)
	_, ok = c.Foresee(append(beginning[1:], 0))
	require.False(t, ok, "another beginning")
	_, ok = Uncached(newFake()).Foresee(beginning)
	require.False(t, ok, "of a cache that keeps nothing")

	later := openCache(t, c.dir, newFake(), CacheConfig{})
	_, ok = later.Foresee(beginning)
	require.False(t, ok, "in another process")
	initialize(t, later, code)
	_, ok = later.Foresee(beginning)
	require.True(t, ok, "once it was seen there")
}

func TestBeginningsAreBounded(t *testing.T) {
	t.Parallel()
	var b beginnings
	for n := range 3 * maxBeginnings {
		b.put([tagBytes]byte{byte(n), byte(n >> 8)}, [sha256.Size]byte{1})
		require.LessOrEqual(t, len(b.modules), maxBeginnings)
	}
	_, ok := b.get([tagBytes]byte{0xff, 0x2f})
	require.True(t, ok, "the last one")
}
