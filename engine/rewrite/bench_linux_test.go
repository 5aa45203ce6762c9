package rewrite_test

import (
	"context"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// BenchmarkGuard compares kernels under guard with the same kernels on wazero as
// it is, which neither stops nor schedules them. The runs alternate, so that
// what else the machine does meets both; x is the median of their ratios, and that
// of "mean" the geometric mean over all kernels that ran.
func BenchmarkGuard(b *testing.B) {
	var ratios []float64
	for _, guests := range []struct {
		name    string
		binary  func(testing.TB) []byte
		kernels []timedKernel
	}{
		{"c", cKernels, []timedKernel{
			{"blake3", 60}, {"sieve", 2}, {"sort", 3}, {"matmul", 2}, {"json", 300}, {"sha256", 60}, {"fib", 27},
		}},
		{"go", goKernels, []timedKernel{{"blake3", 60}, {"sieve", 1}, {"sort", 3}, {"matmul", 1}, {"json", 100}}},
	} {
		b.Run(guests.name, func(b *testing.B) {
			plain, guarded := pair(b, guests.binary(b))
			for _, k := range guests.kernels {
				b.Run(k.export, func(b *testing.B) { ratios = append(ratios, compare(b, plain, guarded, k)) })
			}
		})
	}
	// A benchmark that has others within it cannot report anything itself.
	b.Run("mean", func(b *testing.B) {
		b.ReportMetric(geometricMean(ratios), "x")
		b.ReportMetric(0, "ns/op")
	})
}

func goKernels(t testing.TB) []byte {
	return guesttest.Build(t, "wasmwhisk/engine/rewrite/testdata/kernels", guest.Reactor)
}

// timedKernel is an export, and how often it does its work in one run.
type timedKernel struct {
	export string
	n      uint64
}

func geometricMean(ratios []float64) float64 {
	sum := 0.0
	for _, ratio := range ratios {
		sum += math.Log(ratio)
	}
	return math.Exp(sum / float64(len(ratios)))
}

// compare reports and returns the median ratio of a kernel.
func compare(b *testing.B, plain, guarded *subject, k timedKernel) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx := context.Background()
	run := func(g *subject) ([]uint64, float64) {
		begin := threadTime(b)
		results, err := g.call(ctx, k.export, k.n)
		took := threadTime(b) - begin
		require.NoError(b, err)
		return results, float64(took)
	}
	var ratios []float64
	for b.Loop() {
		want, before := run(plain)
		got, under := run(guarded)
		require.Equal(b, want, got)
		ratios = append(ratios, under/before)
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	b.ReportMetric(median, "x")
	b.ReportMetric(0, "ns/op")
	return median
}

// threadTime is the processor time that this thread has used: on a busy machine
// it says more than a clock.
func threadTime(b *testing.B) time.Duration {
	var ts unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts))
	return time.Duration(ts.Nano())
}
