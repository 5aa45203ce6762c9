package enginebench

import (
	"context"
	"errors"
	"os"
	"runtime/debug"

	"wasmwhisk/engine"
	"wasmwhisk/internal/ram"
)

// idleSandboxes is how many sandboxes wait when their memory is measured.
const idleSandboxes = 64

// idleBytes is the RAM of a sandbox that has served one activation, was put back
// and waits; 0 where the system does not tell.
func (g *guest) idleBytes(ctx context.Context) (size int64, err error) {
	var waiting []engine.Instance
	defer func() {
		for _, instance := range waiting {
			err = errors.Join(err, instance.Close(ctx))
		}
	}()
	before := residentBytes()
	for range idleSandboxes {
		instance, err := g.restore(ctx)
		if err != nil {
			return 0, err
		}
		waiting = append(waiting, instance)
		if _, err := g.invoke(ctx, instance, first); err != nil {
			return 0, err
		}
		if resetter, ok := instance.(engine.Resetter); ok && g.snapshot != nil {
			if err := resetter.Reset(); err != nil {
				return 0, err
			}
		}
	}
	return max(residentBytes()-before, 0) / idleSandboxes, nil
}

// residentBytes is the RAM of this process. A page that it has mapped several
// times counts once. It is 0 where the system does not tell.
func residentBytes() int64 {
	debug.FreeOSMemory()
	return ram.Proportional(os.Getpid())
}
