//go:build cgo && linux && amd64

package wasmer_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wasmerengine "wasmwhisk/engines/wasmer"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine(t *testing.T) { enginetest.Run(t, open, enginetest.Options{}) }

// TestEndurance takes a minute; the rest of the suite is short.
func TestEndurance(t *testing.T) {
	if testing.Short() {
		t.Skip("a long test")
	}
	enginetest.Endure(t, open, enginetest.Endurance{Activations: 100_000, Traps: 10_000})
}

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, open, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func open(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmerengine.New(ctx, config, 0)
}
