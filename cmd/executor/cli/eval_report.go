package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"wasmwhisk/eval/report"
	"wasmwhisk/eval/result"
)

func newEvalReportCommand(env *Env) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Make the report of an evaluation again",
		Long: `report makes report.html and the plots of the evaluation whose summary.json is in
DIR: after an upgrade, or when the summary came alone.`,
		Args: directories("eval report", 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if markdown {
				return printMarkdown(env, args[0])
			}
			return remakeReport(env, args[0])
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print tables for a document instead")
	return cmd
}

// directories demands n of them as arguments.
func directories(command string, n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return errUsage(fmt.Errorf("%s needs %d directories with the results of evaluations", command, n))
		}
		return nil
	}
}

// readRun reads a summary. What is none is a wrong argument.
func readRun(dir string) (result.Run, error) {
	run, err := result.Read(dir)
	if errors.Is(err, result.ErrFormat) {
		return run, errUsage(err)
	}
	return run, err
}

func printMarkdown(env *Env, dir string) error {
	run, err := readRun(dir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(env.Stdout, report.Markdown(run))
	return err
}

func remakeReport(env *Env, dir string) error {
	run, err := readRun(dir)
	if err != nil {
		return err
	}
	if err := report.Write(dir, run); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, filepath.Join(dir, report.Page))
	return err
}

// compareFlags are the flags of eval compare.
type compareFlags struct {
	json bool
	out  string
}

func newEvalCompareCommand(env *Env) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Put two evaluations side by side",
		Long: `compare puts the evaluation in directory B beside that in directory A, which came
first: for each quantity both medians, their ratio, and whether there is a difference
at all. That is a Mann-Whitney U-test over the medians of the rounds, at 5 per cent;
below four rounds on each side it has nothing to say.`,
		Args: directories("eval compare", 2),
		RunE: func(_ *cobra.Command, args []string) error { return compareRuns(env, f, args[0], args[1]) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&f.out, "out", "", "write the comparison as a page to `DIR`, too")
	return cmd
}

func compareRuns(env *Env, f compareFlags, first, second string) error {
	a, err := readRun(first)
	if err != nil {
		return err
	}
	b, err := readRun(second)
	if err != nil {
		return err
	}
	c := report.Compare(a, b)
	if f.out != "" {
		if err := c.Write(f.out); err != nil {
			return err
		}
		fmt.Fprintln(env.Stderr, filepath.Join(f.out, report.ComparisonPage))
	}
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(c)
	}
	return c.Text(env.Stdout)
}
