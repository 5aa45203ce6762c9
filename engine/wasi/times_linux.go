package wasi

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Nanoseconds that tell utimensat to set the time of now, or to leave it be.
const (
	utimeNow  = unix.UTIME_NOW
	utimeOmit = unix.UTIME_OMIT
)

// futimens sets the times of an open file. The C library makes it of utimensat
// without a path, which package unix cannot express.
func futimens(f *os.File, times [2]unix.Timespec) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}
