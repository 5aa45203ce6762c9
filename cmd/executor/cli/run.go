package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
)

// The exit codes of run when its guest did not choose one, as a shell would
// report them.
const (
	exitTrapped     = 128 + 6 // SIGABRT
	exitInterrupted = 128 + 2 // SIGINT
	exitHighest     = 255     // that a process can have
)

// startExport is what makes a module a WASI command.
const startExport = "_start"

// runFlags are the flags of run.
type runFlags struct {
	engine    *string
	dirs, env []string
}

func newRunCommand(env *Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE.wasm [flags] [-- ARGS...]",
		Short: "Run a WASI command",
		Long: `run runs a WASI preview1 command outside of any sandbox of an action: no time
or memory limit, its standard streams those of this process, and of the host's
files what --dir names.

Its exit code becomes that of this process (codes above 255 become 255). After a
trap it is 134, after an interrupt 130.`,
		Example: "  executor run cat.wasm --dir .::/data:ro -- /data/README.md",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errUsage(errors.New("run needs a FILE.wasm"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCommand(cmd.Context(), env, f, args[0], args[1:])
		},
	}
	f.engine = addEngineFlag(cmd)
	cmd.Flags().StringArrayVar(&f.dirs, "dir", nil, "let the guest use a directory, as `HOST::GUEST[:ro]`; may be repeated")
	cmd.Flags().StringArrayVar(&f.env, "env", nil, "set a variable of the guest's environment, as `K=V`; may be repeated")
	return cmd
}

func runCommand(ctx context.Context, env *Env, f runFlags, file string, args []string) error {
	if i := slices.IndexFunc(f.env, func(v string) bool { return !strings.Contains(v, "=") }); i >= 0 {
		return errUsage(fmt.Errorf("--env %s: want K=V", f.env[i]))
	}
	mounts, closeMounts, err := openMounts(f.dirs)
	defer closeMounts()
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	rt, err := openRuntime(ctx, *f.engine, engine.Config{HostFuncs: wasi.Functions()})
	if err != nil {
		return err
	}
	defer func() { _ = rt.Close(context.WithoutCancel(ctx)) }()
	err = runBinary(ctx, rt, binary, wasi.Config{
		Args:   append([]string{filepath.Base(file)}, args...),
		Env:    f.env,
		Stdin:  env.Stdin,
		Stdout: env.Stdout,
		Stderr: env.Stderr,
		Mounts: mounts,
	})
	return ended(ctx, env, file, err)
}

// openMounts opens the directories of --dir. The function closes them.
func openMounts(dirs []string) ([]wasi.Mount, func(), error) {
	var mounts []wasi.Mount
	closeAll := func() {
		for _, m := range mounts {
			m.Root.Close()
		}
	}
	for _, dir := range dirs {
		mount, err := openMount(dir)
		if err != nil {
			return nil, closeAll, err
		}
		mounts = append(mounts, mount)
	}
	return mounts, closeAll, nil
}

func openMount(dir string) (wasi.Mount, error) {
	host, guest, found := strings.Cut(dir, "::")
	guest, readOnly := strings.CutSuffix(guest, ":ro")
	if !found || host == "" || guest == "" {
		return wasi.Mount{}, errUsage(fmt.Errorf("--dir %s: want HOST::GUEST or HOST::GUEST:ro", dir))
	}
	root, err := os.OpenRoot(host)
	if err != nil {
		return wasi.Mount{}, fmt.Errorf("--dir %s: %w", dir, err)
	}
	mount := wasi.Mount{Guest: guest, Root: root, Access: wasi.ReadWrite}
	if readOnly {
		mount.Access = wasi.ReadOnly
	}
	return mount, nil
}

// runBinary runs a command to its end.
func runBinary(ctx context.Context, rt engine.WasmRuntime, binary []byte, config wasi.Config) error {
	cleanup := context.WithoutCancel(ctx)
	module, err := rt.Compile(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { _ = module.Close(cleanup) }()
	if !slices.ContainsFunc(module.Exports(), func(e engine.Export) bool { return e.Name == startExport && e.Type != nil }) {
		return fmt.Errorf("not a WASI command: it exports no function %s", startExport)
	}
	system := wasi.NewSystem(config)
	defer func() { _ = system.Close() }()
	ctx = wasi.NewContext(ctx, system)
	instance, err := module.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	defer func() { _ = instance.Close(cleanup) }()
	_, err = instance.Call(ctx, startExport)
	return err
}

// ended turns the end of a guest into the end of this process.
func ended(ctx context.Context, env *Env, file string, err error) error {
	if err == nil {
		return nil
	}
	if exit, ok := errors.AsType[*engine.ExitError](err); ok {
		return exitWith(min(exit.Code, exitHighest))
	}
	if trap, ok := errors.AsType[*engine.TrapError](err); ok {
		fmt.Fprintf(env.Stderr, "executor: %s: %v\n", file, trap)
		if trap.Detail != "" {
			fmt.Fprintln(env.Stderr, trap.Detail)
		}
		return exitWith(exitTrapped)
	}
	if ctx.Err() != nil {
		return exitWith(exitInterrupted)
	}
	return fmt.Errorf("run %s: %w", file, err)
}

func exitWith(code uint32) error {
	if code == exitDone {
		return nil
	}
	return &codeError{code: int(code)}
}
