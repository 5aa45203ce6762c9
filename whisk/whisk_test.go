package whisk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStatusString(t *testing.T) {
	t.Parallel()
	for status, want := range map[Status]string{
		Success:          "success",
		ApplicationError: "application error",
		DeveloperError:   "action developer error",
		InternalError:    "whisk internal error",
		Status(17):       "whisk internal error",
	} {
		assert.Equal(t, want, status.String(), "Status(%d).String()", int(status))
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, got, want string }{
		{"timed out", TextTimedOut(100 * time.Millisecond), "The action exceeded its time limits of 100 milliseconds."},
		{"timed out before it began", TextTimedOut(-time.Second), "The action exceeded its time limits of 0 milliseconds."},
		{"init timed out", TextInitTimedOut(time.Minute), "The action exceeded its time limits of 60000 milliseconds during initialization."},
		{"result", TextResultTooLarge(1048577, MaxResultBytes), "The action produced a response that exceeded the allowed length: 1048577 > 1048576 bytes."},
		{"result of unknown length", TextResultTooLarge(0, 10), "The action produced a response that exceeded the allowed length: more than 10 bytes."},
		{"request", RequestTooLarge(1048577, MaxPayloadBytes).Message, "Request larger than allowed: 1048577 > 1048576 bytes."},
		{"request of unknown length", RequestTooLarge(-1, 10).Message, "Request larger than allowed: more than 10 bytes."},
		{"logs", TextLogsTruncated(MaxLogBytes), "Logs were truncated because the total bytes size exceeds the limit of 10485760 bytes."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, c.got)
		})
	}
}

func TestErrorf(t *testing.T) {
	t.Parallel()
	err := Errorf(BadRequest, "no %s", "way")
	assert.EqualError(t, err, "no way")
	assert.Equal(t, BadRequest, err.Kind)
}
