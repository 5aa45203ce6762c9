package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wasmwhisk/engine"
	wasmtimeengine "wasmwhisk/engines/wasmtime"
	wazeroengine "wasmwhisk/engines/wazero"
)

// defaultEngine is what --engine names where nobody says otherwise.
const defaultEngine = "wazero"

// engineEntry is an engine that this program knows.
type engineEntry struct {
	name, about string
	open        func(context.Context, engine.Config) (engine.WasmRuntime, error)

	// missing says why this binary cannot open it, "" if it can.
	missing string

	// fragile means that its compiler ends the process where it fails.
	fragile bool

	// outside means that another program has it.
	outside bool
}

func engines() []engineEntry {
	return []engineEntry{
		{
			name:  "wazero",
			about: "compiles to machine code, in pure Go; the default",
			open: func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
				return wazeroengine.NewCompiler(ctx, c)
			},
		},
		{
			name:  "wazero-interpreter",
			about: "interprets, on any platform; nothing to compile, slow to run",
			open: func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
				return wazeroengine.NewInterpreter(ctx, c)
			},
		},
		{
			name:    "wasmtime",
			about:   "compiles to faster machine code, more slowly",
			missing: wasmtimeengine.Missing,
			fragile: true,
			open: func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
				return wasmtimeengine.New(ctx, c)
			},
		},
		{
			name:    wasmerName,
			about:   "experimental: only in worker processes, of a program of its own (serve --engine wasmer)",
			missing: "runs in worker processes of serve only",
			outside: true,
		},
	}
}

// openRuntime opens the engine that --engine names.
func openRuntime(ctx context.Context, name string, config engine.Config) (engine.WasmRuntime, error) {
	all := engines()
	i := slices.IndexFunc(all, func(e engineEntry) bool { return e.name == name })
	if i < 0 {
		return nil, errUsage(fmt.Errorf("there is no engine %q; this binary has %s", name, strings.Join(engineNames(), ", ")))
	}
	if missing := all[i].missing; missing != "" {
		return nil, errUsage(fmt.Errorf("this binary does not have engine %s: it %s", name, missing))
	}
	rt, err := all[i].open(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open engine %s: %w", name, err)
	}
	return rt, nil
}

func fragile(name string) bool {
	return slices.ContainsFunc(engines(), func(e engineEntry) bool { return e.name == name && e.fragile })
}

// engineNames are the engines that this binary has.
func engineNames() []string {
	var names []string
	for _, e := range engines() {
		if e.missing == "" {
			names = append(names, e.name)
		}
	}
	return names
}

// addEngineFlag gives a command --engine.
func addEngineFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("engine", defaultEngine, "the WebAssembly `ENGINE`: "+strings.Join(engineNames(), ", "))
}

// engineReport is one row of the engines command.
type engineReport struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Default bool   `json:"default"`
	About   string `json:"about"`

	// Features are what the engine can do beyond running modules.
	Features []string `json:"features"`

	// Missing says why this binary cannot open the engine.
	Missing string `json:"missing,omitempty"`
	Note    string `json:"note,omitempty"`
}

func newEnginesCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "engines",
		Short: "List the engines of this binary",
		Args:  noArguments,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		reports, err := describeEngines(cmd.Context(), env)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(env.Stdout).Encode(reports)
		}
		return printEngines(env, reports)
	}
	return cmd
}

// describeEngines opens every engine that is there: what is listed works.
func describeEngines(ctx context.Context, env *Env) ([]engineReport, error) {
	var reports []engineReport
	for _, e := range engines() {
		report := engineReport{Name: e.name, Default: e.name == defaultEngine, About: e.about, Missing: e.missing}
		if e.outside {
			report.Missing = ""
			report.locate(ctx, env.Getenv(variable("wasmer-worker")))
		} else if e.missing == "" {
			if err := report.probe(ctx, e); err != nil {
				return nil, fmt.Errorf("engine %s: %w", e.name, err)
			}
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// probe finds out what an engine can do.
func (r *engineReport) probe(ctx context.Context, e engineEntry) error {
	rt, err := e.open(ctx, engine.Config{})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	info := rt.Info()
	r.Version, r.Mode, r.Note = info.Version, info.Mode, info.Note
	r.Features, err = features(ctx, rt)
	return errors.Join(err, rt.Close(ctx))
}

// features are the parts of the contract that an engine may leave out.
func features(ctx context.Context, rt engine.WasmRuntime) (names []string, err error) {
	const emptyModule = "\x00asm\x01\x00\x00\x00"
	if _, ok := rt.(engine.Precompiler); ok {
		names = append(names, "artefacts")
	}
	module, err := rt.Compile(ctx, []byte(emptyModule))
	if err != nil {
		return nil, err
	}
	if _, ok := module.(engine.Snapshotter); ok {
		names = append(names, "snapshots")
	}
	instance, err := module.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return nil, errors.Join(err, module.Close(ctx))
	}
	if _, ok := instance.(engine.Resetter); ok {
		names = append(names, "reset")
	}
	return names, errors.Join(instance.Close(ctx), module.Close(ctx))
}

func printEngines(env *Env, reports []engineReport) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENGINE\tVERSION\tMODE\tFEATURES\tABOUT")
	for _, r := range reports {
		about := r.About
		if r.Missing != "" {
			about = "not in this binary: " + r.Missing
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, dash(r.Version), dash(r.Mode), dash(strings.Join(r.Features, ",")), about)
	}
	for _, r := range reports {
		if r.Note != "" {
			fmt.Fprintf(w, "\n%s: %s\n", r.Name, r.Note)
		}
	}
	fmt.Fprintf(w, "\nplatform: %s/%s\n", runtime.GOOS, runtime.GOARCH)
	return w.Flush()
}

// dash stands for nothing in a table.
func dash(text string) string { return cmp.Or(text, "-") }
