package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps for less than a few milliseconds, to some microseconds: a timer of
// Go's may be a millisecond late, the resolution in which the runtime waits for
// its sockets. It blocks a thread. Signals, which the runtime sends itself, wake it
// early.
func nap(d time.Duration) {
	// By default the kernel adds 50 µs to each sleep. Refused, it still does.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	wait := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&wait, nil)
}
