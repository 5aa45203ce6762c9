package enginebench_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginebench"
	"wasmwhisk/engine/worker"
	"wasmwhisk/engines/wazero"
)

// TestMain makes this test binary a program that has an engine, or a worker process of
// it, if its argument says so.
func TestMain(m *testing.M) {
	var err error
	switch strings.Join(os.Args[1:], " ") {
	case "bench":
		err = enginebench.Serve(context.Background(), os.Stdin, os.Stdout, compiler)
	case "serve":
		err = worker.Main(context.Background(), compiler)
	default:
		goleak.VerifyTestMain(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func compiler(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewCompiler(ctx, config)
}

func TestRun(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	var serve []string
	if runtime.GOOS == "linux" {
		serve = []string{program, "serve"}
	}
	tiny := enginebench.Tiny()
	var told []string
	report, err := enginebench.Run(t.Context(), enginebench.Config{
		Engines:  []enginebench.Engine{{Name: "one", Open: compiler}, {Name: "two", Program: []string{program, "bench"}, Worker: serve}},
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
	assert.Contains(t, told, "one: compile tiny")
	assert.Contains(t, told, "two: compile tiny")
	assert.Zero(t, report.Engines[0].Guests[0].Process, "nobody asked for a worker process of one")
	assert.Equal(t, serve != nil, report.Engines[1].Guests[0].Process > 0)
}

// A program that fails says why, and one that is none is told from an engine.
func TestRunWithProgramsThatFail(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	for want, e := range map[string]enginebench.Engine{
		"invalid module":  {Program: []string{program, "bench"}},
		"does not answer": {Program: []string{"true"}},
		"neither":         {},
	} {
		_, err := enginebench.Run(t.Context(), enginebench.Config{
			Engines: []enginebench.Engine{e},
			Guests:  []enginebench.Guest{{Name: "bad", Binary: []byte("no module")}},
		})
		assert.ErrorContains(t, err, want)
	}
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
