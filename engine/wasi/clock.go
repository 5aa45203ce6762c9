package wasi

import (
	"context"
	"time"

	"wasmwhisk/engine"
)

// The clocks of preview1.
const (
	clockRealtime   = 0
	clockMonotonic  = 1
	clockProcessCPU = 2
	clockThreadCPU  = 3
)

// started is where the monotonic clocks of all systems of this process start to
// count: at the wall-clock time of then. So what a captured guest remembers, from
// this process or from one before it, lies in the past of every later sandbox,
// unless the host's clock was set between two processes, see [Monotonic].
var started = time.Now()

// Monotonic is what the monotonic clock of a system of this process tells now.
func Monotonic() uint64 { return new(clock).monotonic() }

// clock tells one guest the time.
type clock struct {
	now   func() time.Time // nil: the real time
	last  uint64           // monotonic time, as last told
	born  uint64           // monotonic time at the start of the system
	slept time.Duration    // in poll_oneoff
}

func (c *clock) realtime() uint64 {
	if c.now == nil {
		return uint64(time.Now().UnixNano())
	}
	return uint64(c.now().UnixNano())
}

// monotonic never tells less than before, whatever now does.
func (c *clock) monotonic() uint64 {
	c.last = max(c.last, uint64(started.UnixNano())+uint64(c.age()))
	return c.last
}

func (c *clock) age() time.Duration {
	if c.now == nil {
		return time.Since(started)
	}
	return c.now().Sub(started)
}

// cpu approximates the time that the guest computed by the time that it lived
// and did not sleep.
func (c *clock) cpu() uint64 {
	lived := c.monotonic() - c.born
	return lived - min(lived, uint64(c.slept))
}

func (c *clock) read(id uint32) (uint64, error) {
	switch id {
	case clockRealtime:
		return c.realtime(), nil
	case clockMonotonic:
		return c.monotonic(), nil
	case clockProcessCPU, clockThreadCPU:
		return c.cpu(), nil
	}
	return 0, eINVAL
}

func (s *System) clockTimeGet(_ context.Context, mem engine.Memory, a args) error {
	t, err := s.clock.read(a.u32(0))
	if err != nil {
		return err
	}
	return mem.PutUint64(a.u32(2), t)
}

func (s *System) clockResGet(_ context.Context, mem engine.Memory, a args) error {
	if a.u32(0) > clockThreadCPU {
		return eINVAL
	}
	return mem.PutUint64(a.u32(1), uint64(time.Nanosecond))
}
