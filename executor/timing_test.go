package executor

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAppendMillisecondsIsAsStrconvHasIt(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{
		0, 49, 51, 100, 999, 12345, time.Millisecond - 51, time.Millisecond - 49, time.Millisecond,
		10*time.Millisecond + 100, 1234567891, time.Hour,
	} {
		want := strconv.FormatFloat(milliseconds(d), 'f', 4, 64)
		assert.Equal(t, want, string(appendMilliseconds(nil, d)), "appendMilliseconds(%d)", d)
	}
}

func TestNameIsTextOfEveryKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"value", "namespace", "action_name", "action_version", "activation_id", "transaction_id", "deadline", "api_key", "other", "",
	} {
		assert.Equal(t, key, name([]byte(strconv.Quote(key))), "name(%q)", key)
	}
}
