package worker

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// maxFiles bounds the descriptors of a worker. Its engine needs some, a sandbox
// with a directory at most 128.
const maxFiles = 4096

// memoriesEach is how many memories an engine may hold for one activation: those of
// idle instances are kept for a while.
const memoriesEach = 4

// bound gives this process no more than it may take, for good. What guests' memories
// reserve counts as data, whether they use it or not, so that data is bounded only
// where the number of guests is. The collector works harder from three quarters of
// the memory on.
func bound(a assignment) error {
	debug.SetMemoryLimit(a.MemoryBytes / 4 * 3)
	data := uint64(math.MaxUint64)
	if a.Activations > 0 {
		data = uint64(a.MemoryBytes) + memoriesEach*uint64(a.Activations)*uint64(a.Limits.MemoryPages)*engine.PageSize
	}
	for _, l := range []struct {
		resource int
		limit    uint64
	}{
		{unix.RLIMIT_DATA, data},
		{unix.RLIMIT_NOFILE, maxFiles},
		{unix.RLIMIT_CORE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return fmt.Errorf("limit worker process: %w", err)
		}
	}
	return nil
}

// confine takes from every thread of this process what its guests do not need,
// for good. A kernel without such walls is no error.
func confine(g grants) (c Confinement) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.NoNewPrivileges = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == nil
	filter := g.filter()
	if filter == nil {
		return c
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// To all threads or none; the other threads get no_new_privs with it.
	failed, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	c.SystemCalls = errno == 0 && failed == 0
	return c
}
