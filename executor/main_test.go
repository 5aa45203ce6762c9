package executor

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
)

// isolated has all fixtures run activations in worker processes.
var isolated = flag.Bool("isolated", false, "run activations in worker processes")

// workerArgument makes this test binary a worker process, childArgument a
// compiler process: such a one has no environment to tell it.
const (
	workerArgument = "worker"
	childArgument  = "compile-child"
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == workerArgument:
		err = worker.Main(context.Background(), func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
			return wazero.NewCompiler(ctx, c)
		})
	case len(os.Args) == 2 && os.Args[1] == childArgument:
		err = precompile.ChildMain(context.Background(), os.Stdin, os.Stdout, func(ctx context.Context) (engine.Precompiler, error) {
			return wazero.NewCompiler(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
		})
	default:
		goleak.VerifyTestMain(m)
	}
	if err != nil {
		os.Exit(1)
	}
}

// withWorkers has an executor run activations in processes of this test binary.
func withWorkers(t testing.TB) func(*Config) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	workers, err := worker.New(worker.Config{Command: []string{program, workerArgument}, Prestarted: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(workers.Close)
	return func(c *Config) { c.Workers, c.Modules = workers, nil }
}

// inProcess leaves out a test of how modules are had in this process.
func inProcess(t *testing.T) {
	t.Helper()
	if *isolated {
		t.Skip("workers have their modules for themselves")
	}
}

// TestInWorkers is this whole suite again, with activations in worker processes.
func TestInWorkers(t *testing.T) {
	if testing.Short() || *isolated || runtime.GOOS != "linux" {
		t.Skip("it is long, and needs Linux")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), program, "-isolated", "-test.short").CombinedOutput()
	assert.NoError(t, err, "%s", out)
}
