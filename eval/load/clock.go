package load

import (
	"context"
	"time"
)

// coarse is how long before a moment the runtime's timers are no longer trusted.
const coarse = 2 * time.Millisecond

// waitUntil returns at t, not before, or, with false, when ctx has ended.
func waitUntil(ctx context.Context, t time.Time) bool {
	if d := time.Until(t); d > coarse {
		timer := time.NewTimer(d - coarse)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
	for d := time.Until(t); d > 0; d = time.Until(t) {
		nap(d)
	}
	return ctx.Err() == nil
}
