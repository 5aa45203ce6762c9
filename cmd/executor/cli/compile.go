package cli

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
)

// compileChild is the command that compiles in a process of its own. Only this
// binary itself calls it.
const compileChild = "compile-child"

func newCompileChildCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:    compileChild,
		Short:  "Compile the module on stdin, for another process of this binary",
		Args:   noArguments,
		Hidden: true,
	}
	engine := addEngineFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := wazeroengine.WithWorkers(context.WithoutCancel(cmd.Context()), runtime.GOMAXPROCS(0))
		return precompile.ChildMain(ctx, env.Stdin, env.Stdout, precompilerOf(*engine))
	}
	return cmd
}

// precompilerOf opens an engine that is configured as that of a node.
func precompilerOf(name string) func(context.Context) (engine.Precompiler, error) {
	return func(ctx context.Context) (engine.Precompiler, error) {
		rt, err := openRuntime(ctx, name, engine.Config{HostFuncs: sandbox.HostFuncs()})
		if err != nil {
			return nil, err
		}
		p, ok := rt.(engine.Precompiler)
		if !ok {
			return nil, fmt.Errorf("engine %s does not compile ahead", name)
		}
		return p, nil
	}
}

func (s *settings) addCompiling(f *pflag.FlagSet) {
	f.DurationVar(&s.compileTimeout, "compile-timeout", precompile.DefaultCompileTime, "processor time of compiling one module; by the clock four times as much")
	f.Int64Var(&s.compileMemory, "compile-memory", precompile.DefaultCompileMemory, "memory of compiling one module, in `BYTES`")
}

// inChild has p compile in processes of this binary.
func (s settings) inChild(p engine.Precompiler) (engine.Precompiler, error) {
	program, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return precompile.InChild(p, precompile.ChildConfig{
		Command:     []string{program, compileChild, "--engine", s.engine},
		Time:        s.compileTimeout,
		MemoryBytes: s.compileMemory,
		All:         fragile(s.engine),
	}), nil
}

// ownProgram is this very file, also after an update has replaced it.
func ownProgram() (string, error) {
	const self = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		return self, nil
	}
	return os.Executable()
}
