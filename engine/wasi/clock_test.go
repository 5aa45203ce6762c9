package wasi

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// time reads a clock.
func (g *guest) time(id uint64) uint64 {
	g.tb.Helper()
	g.ok("clock_time_get", id, 0, out)
	return g.u64(out)
}

func TestClocksTellTheTime(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	before := time.Now().UnixNano()
	realtime := int64(g.time(clockRealtime))
	require.GreaterOrEqual(t, realtime, before)
	require.LessOrEqual(t, realtime, time.Now().UnixNano())
	require.LessOrEqual(t, g.time(clockMonotonic), g.time(clockMonotonic))
}

func TestClocksFromConfig(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 5)
	g := newGuest(t, Config{Now: func() time.Time { return now }})
	require.Equal(t, uint64(1e18+5), g.time(clockRealtime))
	start := g.time(clockMonotonic)
	now = now.Add(time.Second)
	require.Equal(t, start+uint64(time.Second), g.time(clockMonotonic))
}

func TestMonotonicClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	g := newGuest(t, Config{Now: func() time.Time { return now }})
	first := g.time(clockMonotonic)
	now = now.Add(-time.Hour)
	require.Equal(t, first, g.time(clockMonotonic), "after the wall clock was set back")
	require.Equal(t, uint64(0), g.time(clockProcessCPU))
}

// TestMonotonicClockOutlivesProcesses: what a guest remembers from an earlier
// process on this machine lies in the past.
func TestMonotonicClockOutlivesProcesses(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, newGuest(t, Config{}).time(clockMonotonic), uint64(started.UnixNano()))
}

func TestMonotonicClockGoesOnAcrossSystems(t *testing.T) {
	t.Parallel()
	earlier := newGuest(t, Config{}).time(clockMonotonic)
	require.GreaterOrEqual(t, newGuest(t, Config{}).time(clockMonotonic), earlier)
}

func TestCPUClocksLeaveOutSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{Now: time.Now})
		time.Sleep(3 * time.Second)
		g.sleep(time.Minute)
		for _, id := range []uint64{clockProcessCPU, clockThreadCPU} {
			require.Equal(t, uint64(3*time.Second), g.time(id))
		}
	})
}

func TestUnknownClocks(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	for _, id := range []uint64{4, 1<<32 - 1} {
		g.gives(eINVAL, "clock_time_get", id, 0, out)
		g.gives(eINVAL, "clock_res_get", id, out)
	}
	g.gives(eFAULT, "clock_time_get", 0, 0, 1<<32-1)
	g.gives(eFAULT, "clock_res_get", 0, 1<<32-1)
	for id := range uint64(4) {
		g.ok("clock_res_get", id, out)
		require.Equal(t, uint64(1), g.u64(out))
	}
}
