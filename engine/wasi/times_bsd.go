//go:build darwin || freebsd

package wasi

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Nanoseconds that tell utimensat to set the time of now, or to leave it be.
const (
	utimeNow  = -1
	utimeOmit = -2
)

// futimens sets the times of an open file, to the microsecond: package unix has
// no finer call here.
func futimens(f *os.File, times [2]unix.Timespec) error {
	st, err := fstat(f)
	if err != nil {
		return err
	}
	return unix.Futimes(int(f.Fd()), []unix.Timeval{timeval(times[0], st.atime), timeval(times[1], st.mtime)})
}

func timeval(t unix.Timespec, old uint64) unix.Timeval {
	switch t.Nsec {
	case utimeNow:
		return unix.NsecToTimeval(time.Now().UnixNano())
	case utimeOmit:
		return unix.NsecToTimeval(int64(old))
	}
	return unix.NsecToTimeval(t.Nano())
}
