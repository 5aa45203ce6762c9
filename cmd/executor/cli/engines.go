package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wasmwhisk/engine"
	wazeroengine "wasmwhisk/engines/wazero"
)

// defaultEngine is what --engine names where nobody says otherwise.
const defaultEngine = "wazero"

// engineEntry is an engine that this binary can open.
type engineEntry struct {
	name, about string
	open        func(context.Context, engine.Config) (engine.WasmRuntime, error)
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
	}
}

// openRuntime opens the engine that --engine names.
func openRuntime(ctx context.Context, name string, config engine.Config) (engine.WasmRuntime, error) {
	all := engines()
	i := slices.IndexFunc(all, func(e engineEntry) bool { return e.name == name })
	if i < 0 {
		return nil, errUsage(fmt.Errorf("there is no engine %q; this binary has %s", name, strings.Join(engineNames(), ", ")))
	}
	rt, err := all[i].open(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open engine %s: %w", name, err)
	}
	return rt, nil
}

func engineNames() []string {
	var names []string
	for _, e := range engines() {
		names = append(names, e.name)
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
	Version string `json:"version"`
	Mode    string `json:"mode"`
	Default bool   `json:"default"`
	About   string `json:"about"`
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
		reports, err := describeEngines(cmd.Context())
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

// describeEngines opens every engine: what is listed works.
func describeEngines(ctx context.Context) ([]engineReport, error) {
	var reports []engineReport
	for _, e := range engines() {
		rt, err := e.open(ctx, engine.Config{})
		if err != nil {
			return nil, fmt.Errorf("open engine %s: %w", e.name, err)
		}
		info := rt.Info()
		reports = append(reports, engineReport{e.name, info.Version, info.Mode, e.name == defaultEngine, e.about, info.Note})
		if err := rt.Close(ctx); err != nil {
			return nil, fmt.Errorf("close engine %s: %w", e.name, err)
		}
	}
	return reports, nil
}

func printEngines(env *Env, reports []engineReport) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENGINE\tVERSION\tMODE\tABOUT")
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Name, r.Version, r.Mode, r.About)
	}
	for _, r := range reports {
		if r.Note != "" {
			fmt.Fprintf(w, "\n%s: %s\n", r.Name, r.Note)
		}
	}
	fmt.Fprintf(w, "\nplatform: %s/%s\n", runtime.GOOS, runtime.GOARCH)
	return w.Flush()
}
