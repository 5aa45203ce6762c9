package wazero_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCompiler(t *testing.T) { enginetest.Run(t, compiler, enginetest.Options{}) }

// The stack of an interpreted guest is made of Go frames, which the race detector
// makes larger.
func TestInterpreter(t *testing.T) {
	enginetest.Run(t, interpreter, enginetest.Options{StackBytes: 32 << 20})
}

func TestInterpreterInParts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as TestInterpreter")
	}
	enginetest.Run(t, inParts, enginetest.Options{StackBytes: 32 << 20})
}

func FuzzInterpreterInParts(f *testing.F) {
	enginetest.FuzzSame(f, interpreter, inParts)
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

func inParts(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazeroengine.NewInParts(ctx, config)
}

// A few bytes can ask for a memory of 4 GiB with data at its end: nothing of
// that is made before somebody wants an instance within limits.
func TestLargeSparseMemoryCostsNothingUntilInstantiated(t *testing.T) {
	rt, err := wazeroengine.NewInterpreter(t.Context(), engine.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := rt.Compile(t.Context(), wat.Must(`(memory 65536) (data (i32.const 0xfffffff0) "end")`))
	require.NoError(t, err)
	_, err = m.Instantiate(t.Context(), engine.Limits{MemoryPages: 16})
	_, limit := errors.AsType[*engine.LimitError](err)
	require.True(t, limit, "Instantiate = %v, want a LimitError", err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
	require.NoError(t, m.Close(t.Context()))
}
