package sandbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

type key struct{}

func TestDeadlineContextWithoutWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c deadlineContext
		c.begin(context.WithValue(t.Context(), key{}, "v"), time.Now().Add(time.Second))
		assert.NoError(t, c.Err(), "Err before the deadline")
		assert.Equal(t, "v", c.Value(key{}))
		time.Sleep(time.Second)
		assert.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		assert.ErrorIs(t, context.Cause(&c), context.DeadlineExceeded)
		assert.True(t, c.end(), "end of a context that nobody waited for")
	})
}

func TestDeadlineContextWakesWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c deadlineContext
		c.begin(t.Context(), time.Now().Add(time.Second))
		child, cancel := context.WithCancel(&c)
		defer cancel()
		began := time.Now()
		<-child.Done()
		assert.Equal(t, time.Second, time.Since(began), "time until Done")
		assert.ErrorIs(t, child.Err(), context.DeadlineExceeded)
		assert.ErrorIs(t, c.Err(), context.DeadlineExceeded)
		assert.False(t, c.end(), "end of a context that somebody waited for")
	})
}

func TestDeadlineContextEndsWithItsParent(t *testing.T) {
	t.Parallel()
	why := errors.New("stopped")
	for name, wait := range map[string]bool{"waited": true, "not waited": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent, cancel := context.WithCancelCause(t.Context())
			var c deadlineContext
			c.begin(parent, time.Time{})
			if wait {
				c.Done()
			}
			assert.NoError(t, c.Err(), "Err before the parent's end")
			cancel(why)
			assert.ErrorIs(t, c.Err(), context.Canceled)
			assert.ErrorIs(t, context.Cause(&c), why)
			if wait {
				<-c.Done()
			}
		})
	}
}

func TestDeadlineContextTakesTheEarlierDeadline(t *testing.T) {
	t.Parallel()
	now := time.Now()
	soon, late := now.Add(time.Hour), now.Add(2*time.Hour)
	for name, tc := range map[string]struct{ parent, own, want time.Time }{
		"own":         {late, soon, soon},
		"parent":      {soon, late, soon},
		"parent's":    {soon, time.Time{}, soon},
		"own alone":   {time.Time{}, soon, soon},
		"none at all": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.Context()
			if !tc.parent.IsZero() {
				p, cancel := context.WithDeadline(parent, tc.parent)
				defer cancel()
				parent = p
			}
			var c deadlineContext
			c.begin(parent, tc.own)
			got, ok := c.Deadline()
			assert.True(t, got.Equal(tc.want), "Deadline() = %v, want %v", got, tc.want)
			assert.Equal(t, !tc.want.IsZero(), ok)
		})
	}
}
