package wasi

import (
	"context"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// forever is how long a guest waits that set no time.
const forever time.Duration = -1

// after tells when d has passed, never if d is negative. The function releases
// what that takes.
func after(d time.Duration) (<-chan time.Time, func()) {
	if d < 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

// sleep waits for d, without end if it is negative. A stop ends it with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	expired, release := after(d)
	defer release()
	select {
	case <-expired:
		return nil
	case <-ctx.Done():
		return interrupted(ctx)
	}
}

// fileSource waits for a file of the host with poll, which unlike a read does
// not take what it waits for and can be ended.
type fileSource struct{ *os.File }

// buffered is a lower bound: no call tells more on every system.
func (fileSource) buffered() int { return 1 }

func (f fileSource) wait(ctx context.Context, d time.Duration) (ready bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	controlErr := conn.Control(func(fd uintptr) {
		if ready, err = pollFiles(0, int(fd)); !ready && err == nil && d != 0 {
			ready, err = waitReadable(ctx, int(fd), d)
		}
	})
	if controlErr != nil {
		return false, controlErr
	}
	return ready, err
}

// waitReadable polls fd together with a pipe that ctx, once done, writes to.
func waitReadable(ctx context.Context, fd int, d time.Duration) (bool, error) {
	waker, wake, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer waker.Close()
	woken := make(chan struct{})
	stopWake := context.AfterFunc(ctx, func() {
		defer close(woken)
		wake.Close()
	})
	ready, err := pollFiles(d, fd, int(waker.Fd()))
	if !stopWake() {
		<-woken
		return false, interrupted(ctx)
	}
	wake.Close()
	return ready, err
}

// pollFiles reports whether, within d, a read of the first file would not block
// any more. Another file that gets readable ends it too.
func pollFiles(d time.Duration, files ...int) (bool, error) {
	fds := make([]unix.PollFd, len(files))
	for i, fd := range files {
		fds[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	deadline := time.Now().Add(d)
	for {
		_, err := unix.Poll(fds, milliseconds(d))
		if err != unix.EINTR {
			return fds[0].Revents != 0, err
		}
		if d > 0 {
			d = max(0, time.Until(deadline))
		}
	}
}

// milliseconds rounds up: a wait must not end early.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	ms := (int64(d) + int64(time.Millisecond) - 1) / int64(time.Millisecond)
	return int(min(ms, math.MaxInt32))
}
