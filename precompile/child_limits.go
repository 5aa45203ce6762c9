//go:build linux || darwin

package precompile

import (
	"math"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness lets activations go before compilations.
const niceness = 10

// setLimits bounds what the kernel gives this process. Address space is none of
// it: Go reserves more of that than it ever uses. When its processor time is up
// the process says so and ends; the kernel kills one that does not a second later.
func setLimits(r childRequest) error {
	exitInTime()
	memory := uint64(min(r.MemoryBytes, math.MaxInt64))
	for _, l := range []struct {
		resource   int
		soft, hard uint64
	}{
		{unix.RLIMIT_CPU, r.Seconds, r.Seconds + 1},
		{unix.RLIMIT_DATA, memory, memory},
		{unix.RLIMIT_FSIZE, memory, memory},
		{unix.RLIMIT_CORE, 0, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.soft, Max: l.hard}); err != nil {
			return err
		}
	}
	yield()
	return nil
}

// exitInTime ends this process when it is told that its processor time is up,
// whatever it does then.
func exitInTime() {
	up := make(chan os.Signal, 1)
	signal.Notify(up, unix.SIGXCPU)
	go func() {
		<-up
		os.Exit(overtime) //nolint:forbidigo // a compiler does not come back to return an error
	}()
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
