package bodies_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/bodies"
	"wasmwhisk/whisk"
)

const large = 300 << 10

func TestReserve(t *testing.T) {
	t.Parallel()
	b := bodies.NewBudget(2*large - 1)
	for _, small := range []int64{0, 1000} {
		taken, err := b.Reserve(small, large)
		require.NoError(t, err)
		assert.Zero(t, taken, "Reserve(%d)", small)
	}
	first, err := b.Reserve(-1, large)
	require.NoError(t, err)
	assert.EqualValues(t, large, first, "Reserve of a length that is not known")
	_, err = b.Reserve(large, large)
	refused(t, err, whisk.Unavailable)
	_, err = b.Reserve(large+1, large)
	refused(t, err, whisk.TooLarge)
	b.Release(first)
	_, err = b.Reserve(large, large)
	assert.NoError(t, err, "Reserve of what was released")
}

func refused(t *testing.T, err error, want whisk.ErrorKind) {
	t.Helper()
	refusal, ok := errors.AsType[*whisk.Error](err)
	require.True(t, ok, "error = %v, want a refusal", err)
	assert.Equal(t, want, refusal.Kind, "%v", err)
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1000, large} {
		text := strings.Repeat("x", size)
		for _, length := range []int64{int64(size), -1} {
			begun := 0
			body, err := bodies.Read(iotest.HalfReader(strings.NewReader(text)), length, large, func(part []byte) {
				begun += len(part)
				assert.Equal(t, text[:len(part)], string(part))
			})
			require.NoError(t, err)
			assert.Equal(t, length == large, begun > 0, "begun of %d bytes, length %d", size, length)
			assert.Equal(t, text, string(body), "Read of %d bytes, length %d", size, length)
		}
	}
}

func TestReadOfWhatIsNotAsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from   io.Reader
		length int64
		want   string
	}{
		"too much":                        {bytes.NewReader(make([]byte, large+1)), -1, whisk.RequestTooLarge(0, large).Message},
		"too little":                      {strings.NewReader("x"), 2, "The request ended before its body was complete."},
		"far too little":                  {bytes.NewReader(make([]byte, large-1)), large, "The request ended before its body was complete."},
		"nothing":                         {strings.NewReader(""), 2, "The request ended before its body was complete."},
		"too late":                        {iotest.ErrReader(os.ErrDeadlineExceeded), 2, "The request did not arrive in time."},
		"too late, and of unknown length": {iotest.ErrReader(os.ErrDeadlineExceeded), -1, "The request did not arrive in time."},
	} {
		_, err := bodies.Read(c.from, c.length, large, func([]byte) {})
		assert.EqualError(t, err, c.want, name)
	}
}
