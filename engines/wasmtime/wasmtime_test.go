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

func BenchmarkEngine(b *testing.B) {
	enginetest.Benchmark(b, open, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func open(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmtimeengine.New(ctx, config)
}
