//go:build linux || darwin

package precompile

import (
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness lets activations go before compilations.
const niceness = 10

// setLimits bounds what the kernel gives this process. Address space is none of
// it: Go reserves more of that than it ever uses. Equal soft and hard limits of
// processor time kill at once; a Go process ignores the signal that comes first.
func setLimits(r childRequest) error {
	memory := uint64(min(r.MemoryBytes, math.MaxInt64))
	for _, l := range []struct {
		resource int
		limit    uint64
	}{
		{unix.RLIMIT_CPU, r.Seconds},
		{unix.RLIMIT_DATA, memory},
		{unix.RLIMIT_FSIZE, memory},
		{unix.RLIMIT_CORE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return err
		}
	}
	yield()
	return nil
}

// yield lowers the priority of each thread that there is. Later ones have that
// of the thread that makes them. Where it cannot be done it is not needed for
// safety.
func yield() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
	}
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
		}
	}
}
