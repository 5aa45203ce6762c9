package ram_test

import (
	"math"
	"os"
	"testing"

	"wasmwhisk/internal/ram"
)

// TestOwn bounds what this process is told of itself.
func TestOwn(t *testing.T) {
	t.Parallel()
	whole, share := ram.Resident(os.Getpid()), ram.Proportional(os.Getpid())
	for name, got := range map[string]int64{"Resident": whole, "Proportional": share} {
		if got < 64<<10 || got > 64<<30 {
			t.Errorf("%s of a test = %d bytes, want 64 KiB to 64 GiB", name, got)
		}
	}
}

func TestNoProcess(t *testing.T) {
	t.Parallel()
	if whole, share := ram.Resident(math.MaxInt32), ram.Proportional(math.MaxInt32); whole != 0 || share != 0 {
		t.Errorf("Resident, Proportional of no process = %d, %d, want 0, 0", whole, share)
	}
}
