package capped_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/capped"
)

func TestBuffer(t *testing.T) {
	t.Parallel()
	b := capped.New(5)
	n, err := io.Copy(b, io.LimitReader(strings.NewReader(strings.Repeat("abc", 100_000)), 200_000))
	require.NoError(t, err)
	assert.EqualValues(t, 200_000, n)
	_, err = b.Write([]byte("more"))
	require.NoError(t, err)
	assert.Equal(t, "abcab", b.String())
	assert.Equal(t, "abcab", string(b.Bytes()))
}
