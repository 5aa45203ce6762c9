//go:build cgo && linux && amd64

package wasmtime_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wasmtimeengine "wasmwhisk/engines/wasmtime"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) { enginetest.Run(t, open, enginetest.Options{}) }

// TestEngineOnFibers is the suite with all guests on fibers.
func TestEngineOnFibers(t *testing.T) {
	enginetest.Run(t, wasmtimeengine.NewOnFibers, enginetest.Options{})
}

// TestSameOnFibers holds fibers against threads.
func TestSameOnFibers(t *testing.T) {
	t.Parallel()
	enginetest.SameGenerated(t, open, wasmtimeengine.NewOnFibers, 100)
}

func TestEnduranceOnFibers(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	enginetest.Endure(t, wasmtimeengine.NewOnFibers, enginetest.Endurance{Activations: 50_000, Traps: 1000})
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, open, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

// BenchmarkEngineOnFibers is what guests cost while many others block.
func BenchmarkEngineOnFibers(b *testing.B) {
	enginetest.Benchmark(b, wasmtimeengine.NewOnFibers, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func open(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmtimeengine.New(ctx, config)
}
