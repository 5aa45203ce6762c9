package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wasmwhisk/eval"
	generator "wasmwhisk/eval/load"
	"wasmwhisk/eval/report"
	"wasmwhisk/eval/result"
)

// newEvalRunCommands are one command for each experiment, and one for all.
func newEvalRunCommands(env *Env) []*cobra.Command {
	all := newEvalRunCommand(env, "all", "Make all experiments", nil)
	commands := []*cobra.Command{all}
	for _, section := range eval.Experiments() {
		cmd := newEvalRunCommand(env, section.Name, section.Title, []string{section.Name})
		cmd.Long = section.Question + "\n\n" + section.Method
		commands = append(commands, cmd)
	}
	return commands
}

// evalFlags are the flags of an evaluation.
type evalFlags struct {
	out        string
	quick      bool
	seed       uint64
	rounds     int
	targets    []string // built in, by name
	urls       []string // elsewhere
	references []string
	trace      string
	json       bool
}

func newEvalRunCommand(env *Env, name, short string, experiments []string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: noArguments}
	var f evalFlags
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "write samples, summary and report to `DIR` (default eval-DATE)")
	flags.BoolVar(&f.quick, "quick", false, "a look at everything, in under two minutes")
	flags.Uint64Var(&f.seed, "seed", 1, "of what is random in the load")
	flags.IntVar(&f.rounds, "rounds", 0, "how often everything is measured (default 5, quick 2)")
	flags.StringSliceVar(&f.targets, "targets", nil, "measure only `NAMES` of those that are started here (default all: see executor eval targets)")
	flags.StringArrayVar(&f.urls, "target", nil, "measure what listens at a URL, too: `name=url,protocol=runtime|rest[,auth=…]`")
	flags.StringSliceVar(&f.references, "reference", []string{"process per request"}, "compare with `NAMES`")
	flags.StringVar(&f.trace, "trace", "", "replay `FILE`, minute counts of the Azure Functions data set of 2019 (default a small made-up one)")
	flags.BoolVar(&f.json, "json", false, "print the summary as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runEval(cmd.Context(), env, f, experiments)
	}
	return cmd
}

// runEval keeps what was measured also of an evaluation that was broken off.
func runEval(ctx context.Context, env *Env, f evalFlags, experiments []string) (err error) {
	program, err := ownProgram()
	if err != nil {
		return err
	}
	config, err := f.config(program, experiments)
	if err != nil {
		return err
	}
	load, err := generator.Start(ctx, []string{program, evalLoad})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, load.Close()) }()
	config.Generator = load
	bar := evalBar{env: env}
	defer bar.close()
	config.Progress = bar.show
	run, err := eval.Run(ctx, config)
	bar.close()
	if run == nil {
		return err
	}
	run.Command = os.Args
	b := thisBuild()
	run.Version = strings.TrimSpace(b.Version + " " + b.Revision)
	run.Machine = result.ThisMachine()
	return errors.Join(err, f.keep(env, *run))
}

func (f evalFlags) keep(env *Env, run result.Run) error {
	if err := result.Write(f.out, run); err != nil {
		return err
	}
	if err := report.Write(f.out, run); err != nil {
		return err
	}
	fmt.Fprintf(env.Stderr, "seed %d, report %s\n", run.Seed, filepath.Join(f.out, report.Page))
	if f.json {
		return json.NewEncoder(env.Stdout).Encode(run)
	}
	_, err := fmt.Fprint(env.Stdout, report.Markdown(run))
	return err
}

func (f *evalFlags) config(program string, experiments []string) (eval.Config, error) {
	config := eval.Config{Experiments: experiments, References: f.references, Seed: f.seed, Quick: f.quick, Rounds: f.rounds}
	if f.out == "" {
		f.out = "eval-" + time.Now().Format("20060102-150405")
	}
	config.Dir = f.out
	var err error
	if f.trace != "" {
		if config.Trace, err = f.readTrace(); err != nil {
			return config, err
		}
	}
	config.Floor, config.Targets, err = f.choose(program)
	return config, err
}

func (f *evalFlags) readTrace() (*eval.Trace, error) {
	file, err := os.Open(f.trace)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return eval.ReadTrace(file)
}

// evalBar shows the progress of an evaluation once it is known how much there is.
type evalBar struct {
	env *Env
	bar *progress
}

func (b *evalBar) show(p eval.Progress) {
	switch {
	case p.Total == 0:
		fmt.Fprintln(b.env.Stderr, p.Doing)
		return
	case b.bar == nil:
		b.bar = newProgress(b.env.Stderr, p.Total)
	}
	b.bar.step("%s", p.Doing)
}

func (b *evalBar) close() {
	if b.bar != nil {
		b.bar.close()
	}
}
