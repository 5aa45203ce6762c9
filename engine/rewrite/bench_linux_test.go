package rewrite_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

const goKernels = "wasmwhisk/engine/rewrite/testdata/kernels"

// BenchmarkGuard compares kernels under guard with the same kernels on wazero as
// it is, which neither stops nor schedules them. The runs alternate, so that
// what else the machine does meets both; x is the median of their ratios.
func BenchmarkGuard(b *testing.B) {
	for _, guests := range []struct {
		name    string
		binary  func(testing.TB) []byte
		kernels map[string]uint64
	}{
		{
			"c", func(t testing.TB) []byte { return watFile(t, "testdata/kernels.wat") },
			map[string]uint64{"sieve": 2, "matmul": 2, "sort": 3, "sha256": 3000, "fib": 27},
		},
		{
			"go", func(t testing.TB) []byte { return guesttest.Build(t, goKernels, guest.Reactor) },
			map[string]uint64{"blake3": 60, "sieve": 1, "matmul": 1, "sort": 3, "json": 100},
		},
	} {
		b.Run(guests.name, func(b *testing.B) {
			plain, guarded := pair(b, guests.binary(b))
			for kernel, n := range guests.kernels {
				b.Run(kernel, func(b *testing.B) { compare(b, plain, guarded, kernel, n) })
			}
		})
	}
}

// pair instantiates a binary as it is and under guard.
func pair(b *testing.B, binary []byte) (plain, under *subject) {
	b.Helper()
	ctx := context.Background()
	result, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, LazyTables: rewrite.ManyElements})
	require.NoError(b, err)
	start := func(binary []byte, guard *rewrite.Guard) *subject {
		r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
		wasi_snapshot_preview1.MustInstantiate(ctx, r)
		g, err := instantiate(ctx, r, binary, guard)
		require.NoError(b, err)
		if g.ExportedFunction("_initialize") != nil {
			_, err = g.call(ctx, "_initialize")
			require.NoError(b, err)
		}
		return g
	}
	return start(binary, nil), start(result.Binary, result.Guard)
}

func compare(b *testing.B, plain, guarded *subject, kernel string, n uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx := context.Background()
	run := func(g *subject) ([]uint64, float64) {
		begin := threadTime(b)
		results, err := g.call(ctx, kernel, n)
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
	b.ReportMetric(ratios[len(ratios)/2], "x")
	b.ReportMetric(0, "ns/op")
}

// threadTime is the processor time that this thread has used: on a busy machine
// it says more than a clock.
func threadTime(b *testing.B) time.Duration {
	var ts unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts))
	return time.Duration(ts.Nano())
}
