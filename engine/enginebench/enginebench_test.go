package enginebench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginebench"
	"wasmwhisk/engines/wazero"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compiler(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewCompiler(ctx, config)
}

func TestRun(t *testing.T) {
	t.Parallel()
	tiny := enginebench.Tiny()
	var told []string
	report, err := enginebench.Run(t.Context(), enginebench.Config{
		Engines:  []enginebench.Engine{{Name: "one", Open: compiler}, {Name: "two", Open: compiler}},
		Guests:   []enginebench.Guest{tiny},
		Kernels:  []enginebench.Kernel{{Guest: tiny, Program: "echo", Nothing: "{}"}},
		Rounds:   1,
		Progress: func(doing string) { told = append(told, doing) },
	})
	require.NoError(t, err)
	require.Len(t, report.Engines, 2)
	assert.Positive(t, report.ForkExec)
	for _, e := range report.Engines {
		require.Len(t, e.Guests, 1)
		require.Len(t, e.Kernels, 1)
		g := e.Guests[0]
		for name, d := range map[string]any{
			"compile": g.Compile, "load": g.Load, "anew": g.Anew, "fresh": g.Fresh, "first": g.First,
			"call": g.Call, "reset": g.Reset, "close": g.Close, "kernel": e.Kernels[0].Run,
		} {
			assert.NotZero(t, d, "%s of engine %s", name, e.Name)
		}
	}
	assert.Contains(t, told, "two: compile tiny")
}

// A kernel has to give the answer that the native program gives.
func TestRunWithAnotherAnswer(t *testing.T) {
	t.Parallel()
	_, err := enginebench.Run(t.Context(), enginebench.Config{
		Engines: []enginebench.Engine{{Name: "one", Open: compiler}},
		Kernels: []enginebench.Kernel{{Guest: enginebench.Tiny(), Program: "true", Nothing: "{}"}},
		Rounds:  1,
	})
	assert.ErrorContains(t, err, "the native program")
}
