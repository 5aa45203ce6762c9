// Package ram reads how much of a process's memory is in RAM, as Linux tells it.
// The worker supervisor, what measures, and tests use it.
package ram

import (
	"fmt"
	"os"
	"strings"
)

// Resident is what a process has in RAM, in bytes, pages counted whole that others
// share. It is 0 where the system does not tell.
func Resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var total, resident int64
	_, _ = fmt.Sscan(string(text), &total, &resident)
	return resident * int64(os.Getpagesize())
}

// Proportional is as [Resident], but of pages that others share its share alone, and
// a page that it has mapped several times counts once. It takes the kernel a walk
// over all of the process's pages.
func Proportional(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	_, share, _ := strings.Cut(string(text), "\nPss:")
	var kibibytes int64
	_, _ = fmt.Sscan(share, &kibibytes)
	return kibibytes << 10
}
