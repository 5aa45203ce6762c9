package actionsdk

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlineContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(time.Minute)
		ctx, cancel := withDeadline(timeText(deadline))
		defer cancel()
		if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
			t.Errorf("Deadline() = %v, %v, want %v", got, ok, deadline)
		}
		if err := ctx.Err(); err != nil {
			t.Errorf("Err() before the deadline = %v", err)
		}
		child, cancelChild := context.WithCancel(ctx)
		defer cancelChild()
		<-child.Done()
		if err := child.Err(); err != context.DeadlineExceeded {
			t.Errorf("Err() of a child after the deadline = %v, want DeadlineExceeded", err)
		}
	})
}

func TestDeadlineContextEndsWithTheActivation(t *testing.T) {
	for _, used := range []string{"before", "after"} {
		testEndsWithTheActivation(t, used, timeText(time.Now().Add(time.Hour)))
		testEndsWithTheActivation(t, used, "")
	}
}

func testEndsWithTheActivation(t *testing.T, used, deadline string) {
	t.Helper()
	ctx, cancel := withDeadline(deadline)
	if used == "before" && ctx.Err() != nil {
		t.Errorf("Err() = %v", ctx.Err())
	}
	cancel()
	<-ctx.Done()
	if err := ctx.Err(); err != context.Canceled {
		t.Errorf("Err() first used %s the end = %v, want Canceled", used, err)
	}
}

// timeText is a time as __OW_DEADLINE has it.
func timeText(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
