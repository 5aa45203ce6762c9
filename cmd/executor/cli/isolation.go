package cli

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wasmwhisk/engine"
	"wasmwhisk/engine/worker"
)

// What separates actions from each other, and from the executor.
const (
	isolateSandbox = "sandbox" // what the engine and our host functions do
	isolateProcess = "process" // that, and a process for each action
)

// workerCommand is the command of worker processes. Only this binary itself calls
// it.
const workerCommand = "worker"

func newWorkerCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:    workerCommand,
		Short:  "Run the activations of one action, for another process of this binary",
		Args:   noArguments,
		Hidden: true,
	}
	name := addEngineFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		collectLess(env)
		ctx := context.WithoutCancel(cmd.Context())
		return worker.Main(ctx, func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
			return openRuntime(ctx, *name, c)
		})
	}
	return cmd
}

func (s *settings) addIsolation(f *pflag.FlagSet) {
	f.StringVar(&s.isolation, "isolation", isolateSandbox, "separate actions by `WALL`: sandbox, or process for worker processes of their own (Linux)")
	f.StringVar(&s.wasmerWorker, "wasmer-worker", "", "`PROGRAM` that has the engine wasmer (default: wasmer-worker beside this one, or in ../libexec/wasmwhisk)")
	f.Int64Var(&s.workers.MemoryBytes, "worker-memory", worker.DefaultMemoryBytes, "RAM of a worker process, in `BYTES`; one that has more is killed")
	f.IntVar(&s.workers.Prestarted, "worker-spares", 1, "worker processes that wait for an action")
	f.DurationVar(&s.workers.Idle, "worker-idle", 5*time.Minute, "end a worker process that had nothing to do for so long; 0 keeps it with its container")
	f.Uint64Var(&s.workers.RecycleAfter, "worker-activations", 0, "replace a worker process after so many activations (default: no bound)")
}

// openWorkers gives the supervisor of worker processes, nil if activations run in
// this one.
func (s settings) openWorkers(logger *slog.Logger) (*worker.Supervisor, error) {
	config := s.workers
	switch {
	case s.engine == wasmerName:
		var err error
		if config, err = s.wasmerWorkers(); err != nil {
			return nil, err
		}
		config.Logger = logger
		return worker.New(config)
	case s.isolation == "" || s.isolation == isolateSandbox:
		return nil, nil
	case s.isolation != isolateProcess:
		return nil, errUsage(fmt.Errorf("--isolation: %q is neither %s nor %s", s.isolation, isolateSandbox, isolateProcess))
	case runtime.GOOS != "linux":
		return nil, errUsage(fmt.Errorf("--isolation %s needs Linux", isolateProcess))
	}
	program, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	config.Command = []string{program, workerCommand, "--engine", s.engine}
	config.Logger = logger
	return worker.New(config)
}
