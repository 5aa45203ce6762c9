// Package cli holds the commands of the executor: flags and wiring, so that
// another main can reuse them. Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Env is the process as the commands see it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        []string // as "KEY=value"
}

// The exit codes of every command but run, which passes on its guest's.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main runs the command that args name and returns its exit code. Without a
// command it serves. It ends early when ctx does.
func Main(ctx context.Context, env *Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(joinPairs(args))
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return exitCode(env, root.ExecuteContext(ctx))
}

// exitCode reports err, if there is something to say, and gives its exit code.
func exitCode(env *Env, err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[*codeError](err); ok {
		return code.code
	}
	fmt.Fprintln(env.Stderr, "executor:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintln(env.Stderr, "Run 'executor --help' for the commands and their flags.")
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that cannot be understood.
type usageError struct{ err error }

func errUsage(err error) error { return &usageError{err: err} }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codeError ends the process with a code and without a word.
type codeError struct{ code int }

func (e *codeError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func newRootCommand(env *Env) *cobra.Command {
	serve := newServeCommand(env)
	root := &cobra.Command{
		Use:   "executor",
		Short: "Run WebAssembly actions for Apache OpenWhisk",
		Long: `executor runs WebAssembly actions for Apache OpenWhisk, each activation in a
fresh sandbox. Without a command it serves.

Every flag can also be set by an environment variable (--state-dir by
WASMWHISK_STATE_DIR) or in the file that --config names, a JSON object of flags
({"state-dir": "/var/lib/wasmwhisk"}). The command line wins, then the
environment, then the file.`,
		Args:              noArguments,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return applySettings(env, cmd) },
		RunE:              serve.RunE,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errUsage(err) })
	root.PersistentFlags().String("config", "", "read flags from `FILE`")
	root.Flags().AddFlagSet(serve.Flags())
	root.AddCommand(serve, newQuickstartCommand(env), newRunCommand(env), newInvokeCommand(env), newPrecompileCommand(env),
		newEnginesCommand(env), newBenchCommand(env), newEvalCommand(env), newUsersCommand(env), newBackupCommand(env), newVersionCommand(env), newCompileChildCommand(env), newWorkerCommand(env), newEvalLoadCommand(env), newEvalServeCommand(env))
	return root
}

// noArguments is cobra.NoArgs with an error that counts as wrong usage.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return errUsage(fmt.Errorf("unknown command or argument %q for %q", args[0], cmd.CommandPath()))
}

// applySettings sets the flags that the command line left alone.
func applySettings(env *Env, cmd *cobra.Command) error {
	file, err := readConfig(env, cmd)
	if err != nil {
		return err
	}
	var problem error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, from := setting(env, file, f.Name)
		if f.Changed || from == "" || problem != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			problem = errUsage(fmt.Errorf("%s: %w", from, err))
		}
	})
	return problem
}

// setting finds the value of a flag outside the command line, and says where.
func setting(env *Env, file map[string]any, flag string) (value, from string) {
	name := variable(flag)
	if v := env.Getenv(name); v != "" {
		return v, name
	}
	if v, ok := file[flag]; ok {
		return fmt.Sprint(v), "config file"
	}
	return "", ""
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "WASMWHISK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func readConfig(env *Env, cmd *cobra.Command) (map[string]any, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	if path == "" {
		path = env.Getenv(variable("config"))
	}
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parseConfig(cmd, path, data)
}

// parseConfig refuses keys that no command knows: a typo must not pass for a
// setting.
func parseConfig(cmd *cobra.Command, path string, data []byte) (map[string]any, error) {
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errUsage(fmt.Errorf("config %s: %w", path, err))
	}
	known := allFlags(cmd.Root())
	for key := range file {
		if !known[key] {
			return nil, errUsage(fmt.Errorf("config %s: there is no flag %q", path, key))
		}
	}
	return file, nil
}

func allFlags(root *cobra.Command) map[string]bool {
	known := map[string]bool{}
	collect := func(f *pflag.Flag) { known[f.Name] = true }
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().VisitAll(collect)
		for _, below := range cmd.Commands() {
			below.Flags().VisitAll(collect)
		}
	}
	return known
}
