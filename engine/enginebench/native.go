package enginebench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// native is the native program of a kernel.
type native struct {
	kernel Kernel
	answer string
	idle   []time.Duration // until a program that does nothing has ended
	busy   []time.Duration
}

func newNative(ctx context.Context, k Kernel) (*native, error) {
	n := &native{kernel: k}
	var err error
	_, n.answer, err = n.run(ctx, k.Input)
	return n, err
}

// run starts the program, and tells how long that took until it had ended.
func (n *native) run(ctx context.Context, input string) (time.Duration, string, error) {
	began := time.Now()
	out, err := exec.CommandContext(ctx, n.kernel.Program, input).Output()
	took := time.Since(began)
	if err != nil {
		return 0, "", fmt.Errorf("native %s: %w", n.kernel.Name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return took, string(lines[len(lines)-1]), nil
}

// starts is how often a round starts a program that does nothing.
const starts = 20

func (n *native) measure(ctx context.Context) error {
	for range starts {
		took, _, err := n.run(ctx, n.kernel.Nothing)
		if err != nil {
			return err
		}
		n.idle = append(n.idle, took)
	}
	took, _, err := n.run(ctx, n.kernel.Input)
	n.busy = append(n.busy, took)
	return err
}

// figure is the program's work without its start.
func (n *native) figure() KernelFigure {
	return KernelFigure{Kernel: n.kernel.Name, Run: max(median(n.busy)-median(n.idle), 0)}
}
