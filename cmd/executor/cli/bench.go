package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/engine/enginebench"
	"wasmwhisk/internal/guest"
)

func newBenchCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			return errUsage(errors.New("bench needs to know what to measure: engines"))
		},
	}
	cmd.AddCommand(newBenchEnginesCommand(env))
	return cmd
}

func newBenchEnginesCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "engines",
		Short: "Measure the engines side by side",
		Long: `bench engines measures every engine: a tiny guest and the Go action examples/add in
each step of their lives and in a worker process, and BLAKE3 (examples/hash) and a
sieve (examples/prime) beside the native programs of the same sources. It builds the
examples with the Go toolchain of this machine: run it in a checkout of wasmwhisk.
Engines take turns; figures are medians. The engine wasmer is measured by its worker
program, where that is found.`,
		Args: noArguments,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON, times in nanoseconds")
	rounds := cmd.Flags().Int("rounds", 0, "turns that each engine gets (default 5)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := benchEngines(cmd.Context(), env, *rounds)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(env.Stdout).Encode(report)
		}
		return printBench(env.Stdout, report)
	}
	return cmd
}

func benchEngines(ctx context.Context, env *Env, rounds int) (_ *enginebench.Report, err error) {
	dir, err := os.MkdirTemp("", "wasmwhisk-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config := enginebench.Config{Rounds: rounds, Progress: func(doing string) { fmt.Fprintln(env.Stderr, doing) }}
	if err := addBenchGuests(ctx, &config, dir); err != nil {
		return nil, fmt.Errorf("%w\nbench engines builds examples: run it in a checkout of wasmwhisk", err)
	}
	if config.Engines, err = benchedEngines(env); err != nil {
		return nil, err
	}
	return enginebench.Run(ctx, config)
}

// benchedEngines are those that are there, with the commands of their worker
// processes.
func benchedEngines(env *Env) ([]enginebench.Engine, error) {
	own, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	var benched []enginebench.Engine
	for _, e := range engines() {
		if e.missing == "" {
			each := enginebench.Engine{Name: e.name, Open: e.open}
			if runtime.GOOS == "linux" {
				each.Worker = []string{own, workerCommand, "--engine", e.name}
			}
			benched = append(benched, each)
		}
	}
	program, err := findWasmer(env.Getenv(variable("wasmer-worker")))
	if err != nil {
		fmt.Fprintf(env.Stderr, "%s is left out: %v\n", wasmerName, err)
		return benched, nil
	}
	return append(benched, enginebench.Engine{
		Name: wasmerName, Program: []string{program, "bench"}, Worker: []string{program, "serve"},
	}), nil
}

// examplePackages is where the examples are.
const examplePackages = "wasmwhisk/examples/"

// addBenchGuests builds what is measured; dir takes native programs.
func addBenchGuests(ctx context.Context, config *enginebench.Config, dir string) error {
	add, err := benchGuest(ctx, config, "add", `{"param1":2,"param2":3}`)
	if err != nil {
		return err
	}
	config.Guests = []enginebench.Guest{enginebench.Tiny(), add}
	for _, k := range []struct{ name, input, nothing string }{
		{"hash", `{"iterations":40000,"input":"abc"}`, `{"iterations":0,"input":"abc"}`},
		{"prime", `{"upperBound":2000000}`, `{"upperBound":0}`},
	} {
		g, err := benchGuest(ctx, config, k.name, k.input)
		if err != nil {
			return err
		}
		program := filepath.Join(dir, k.name)
		build := exec.CommandContext(ctx, "go", "build", "-o", program, examplePackages+k.name)
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build native %s: %w\n%s", k.name, err, said)
		}
		config.Kernels = append(config.Kernels, enginebench.Kernel{Guest: g, Program: program, Nothing: k.nothing})
	}
	return nil
}

func benchGuest(ctx context.Context, config *enginebench.Config, name, input string) (enginebench.Guest, error) {
	config.Progress("build " + path.Join("examples", name))
	binary, err := guest.Compile(ctx, guest.Source{Package: examplePackages + name}, guest.Reactor)
	return enginebench.Guest{Name: name, Binary: binary, Input: input}, err
}

// benchRow is a line of the table: a text for each engine.
type benchRow struct {
	name string
	text func(enginebench.EngineReport) string
}

// printBench prints one table for all engines.
func printBench(out io.Writer, r *enginebench.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for _, e := range r.Engines {
		fmt.Fprintf(w, "%s\t", e.Name)
	}
	fmt.Fprint(w, "native\t\n")
	for _, row := range benchRows(r) {
		fmt.Fprintf(w, "%s\t", row.name)
		for _, e := range r.Engines {
			fmt.Fprintf(w, "%s\t", row.text(e))
		}
		fmt.Fprintf(w, "%s\t\n", nativeText(r, row.name))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(out, benchNotes)
	return err
}

// benchNotes say what the rows mean where that is not the same for all.
const benchNotes = `
-: the engine does without. compile: of wasmer with a first instance, since it compiles
for one. A worker is a process for one action, which compiled it and runs an activation
at a time; wasmer runs in no other way, and its other lines were measured within.
`

// startRow is the line of what an activation in a native process costs at least.
const startRow = "fork+exec"

func nativeText(r *enginebench.Report, row string) string {
	if row == startRow {
		return rounded(r.ForkExec).String()
	}
	for _, k := range r.Native {
		if k.Kernel == row {
			return rounded(k.Run).String()
		}
	}
	return ""
}

func benchRows(r *enginebench.Report) []benchRow {
	var rows []benchRow
	for i, g := range r.Engines[0].Guests {
		rows = append(rows, guestRows(i, g.Guest, r.ForkExec)...)
	}
	for i, k := range r.Engines[0].Kernels {
		rows = append(rows, benchRow{k.Kernel, func(e enginebench.EngineReport) string {
			return fmt.Sprintf("%v (%.2f×)", rounded(e.Kernels[i].Run), e.Kernels[i].Native)
		}})
	}
	return append(rows, benchRow{startRow, func(enginebench.EngineReport) string { return "" }})
}

// guestRows are the lines of the i-th guest.
func guestRows(i int, name string, forkExec time.Duration) []benchRow {
	var rows []benchRow
	add := func(what string, text func(enginebench.GuestFigures) string) {
		rows = append(rows, benchRow{name + ": " + what, func(e enginebench.EngineReport) string { return text(e.Guests[i]) }})
	}
	for _, step := range []struct {
		what string
		took func(enginebench.GuestFigures) time.Duration
	}{
		{"compile", func(g enginebench.GuestFigures) time.Duration { return g.Compile }},
		{"load", func(g enginebench.GuestFigures) time.Duration { return g.Load }},
		{"start anew", func(g enginebench.GuestFigures) time.Duration { return g.Anew }},
		{"fresh", func(g enginebench.GuestFigures) time.Duration { return g.Fresh }},
		{"first call", func(g enginebench.GuestFigures) time.Duration { return g.First }},
		{"close", func(g enginebench.GuestFigures) time.Duration { return g.Close }},
		{"reset", func(g enginebench.GuestFigures) time.Duration { return g.Reset }},
		{"call", func(g enginebench.GuestFigures) time.Duration { return g.Call }},
		{"activation in a worker", func(g enginebench.GuestFigures) time.Duration { return g.Process }},
	} {
		add(step.what, func(g enginebench.GuestFigures) string {
			if took := step.took(g); took > 0 {
				return rounded(took).String()
			}
			return "-"
		})
	}
	add("call and reset, of fork+exec", func(g enginebench.GuestFigures) string {
		return fmt.Sprintf("1/%.0f", float64(forkExec)/float64(max(g.Call+g.Reset, 1)))
	})
	add("worker, of fork+exec", func(g enginebench.GuestFigures) string {
		if g.Process == 0 {
			return "-"
		}
		return fmt.Sprintf("1/%.0f", float64(forkExec)/float64(g.Process))
	})
	add("idle sandbox", func(g enginebench.GuestFigures) string { return fmt.Sprintf("%.1f KiB", float64(g.Idle)/1024) })
	add("idle worker", func(g enginebench.GuestFigures) string { return dash(mebibytes(g.ProcessIdle)) })
	return rows
}

// mebibytes is "" for nothing.
func mebibytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
