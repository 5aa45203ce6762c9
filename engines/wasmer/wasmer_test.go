//go:build cgo && linux && amd64

package wasmer_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wasmerengine "wasmwhisk/engines/wasmer"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) { enginetest.Run(t, open, enginetest.Options{}) }

// TestEndurance takes a minute; the rest of the suite is short.
func TestEndurance(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("a long test")
	}
	enginetest.Endure(t, open, enginetest.Endurance{Activations: 100_000, Traps: 10_000})
}

// TestSameGenerated holds the engine against wazero. Examples are in the tests of
// package engines, in worker processes.
func TestSameGenerated(t *testing.T) {
	t.Parallel()
	enginetest.SameGenerated(t, openWazero, open, 100)
}

func FuzzEqualsWazero(f *testing.F) { enginetest.FuzzSame(f, openWazero, open) }

func openWazero(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewCompiler(ctx, config)
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, open, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func open(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmerengine.New(ctx, config, 0)
}
