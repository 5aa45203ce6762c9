package wazero_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCompiler(t *testing.T) { enginetest.Run(t, compiler, enginetest.Options{}) }

// The stack of an interpreted guest is made of Go frames.
func TestInterpreter(t *testing.T) {
	enginetest.Run(t, interpreter, enginetest.Options{StackBytes: 16 << 20})
}

func FuzzCompilerEqualsInterpreter(f *testing.F) { enginetest.FuzzSame(f, compiler, interpreter) }

func BenchmarkCompiler(b *testing.B) {
	enginetest.Benchmark(b, compiler, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func BenchmarkInterpreter(b *testing.B) {
	enginetest.Benchmark(b, interpreter, guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor))
}

func compiler(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazeroengine.NewCompiler(ctx, config)
}

func interpreter(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazeroengine.NewInterpreter(ctx, config)
}
