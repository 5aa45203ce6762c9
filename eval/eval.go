// Package eval measures executors of actions, ours and others', by HTTP: how
// long an activation takes when nothing is warm, what a target bears, what it
// costs. An evaluation is a list of experiments over a list of targets; what it
// finds is a [result.Run].
//
// Everything that is compared is measured in turns: each round takes each
// condition, and each condition all targets in another order, so that what
// disturbs the machine for a while disturbs all.
package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// Generator makes requests. [load.Generator] is the one that measures.
type Generator interface {
	Run(ctx context.Context, p load.Plan, progress func(done int)) (*load.Result, error)
}

// Config says what to measure.
type Config struct {
	Experiments []string // names; empty means all
	Targets     []target.Target
	References  []string // names of targets that others are compared with

	// Floor answers every request with a constant: what is measured of it is the
	// generator and the machine.
	Floor target.Target

	Generator Generator
	Dir       string // where samples go

	Seed   uint64
	Quick  bool   // a look, in under two minutes with the targets of one machine
	Rounds int    // 0 means what fits
	Trace  *Trace // to be replayed; nil means [SampleTrace]

	// Progress is told before each measurement. It may be nil.
	Progress func(Progress)
}

// Progress is how far an evaluation has come.
type Progress struct {
	Doing       string
	Done, Total int // measurements
}

// UnknownExperimentError is a name that no experiment has.
type UnknownExperimentError struct{ Name string }

func (e *UnknownExperimentError) Error() string {
	return fmt.Sprintf("no experiment is called %q", e.Name)
}

// Experiments describes all experiments, in the order they are made.
func Experiments() []result.Section {
	var sections []result.Section
	for _, e := range experiments() {
		sections = append(sections, e.Section)
	}
	return sections
}

// Run makes the experiments. Targets that cannot be had are named in the run.
// When ctx ends, Run returns what was measured until then, marked as partial.
func Run(ctx context.Context, c Config) (run *result.Run, err error) {
	chosen, err := choose(c.Experiments)
	if err != nil {
		return nil, err
	}
	if c.Trace == nil {
		if c.Trace, err = SampleTrace(); err != nil {
			return nil, err
		}
	}
	run = &result.Run{Seed: c.Seed, Quick: c.Quick, Began: time.Now()}
	defer func() { run.Took = time.Since(run.Began) }()
	e := &evaluation{config: c, run: run, settled: map[string]bool{}}
	defer func() { err = errors.Join(err, e.stop()) }()
	if err := e.start(ctx); err != nil {
		return run, err
	}
	return run, e.measure(ctx, chosen)
}

func choose(names []string) ([]experiment, error) {
	all := experiments()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []experiment
	for _, name := range names {
		i := slices.IndexFunc(all, func(e experiment) bool { return e.Name == name })
		if i < 0 {
			return nil, &UnknownExperimentError{Name: name}
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// evaluation is one run on its way.
type evaluation struct {
	config  Config
	run     *result.Run
	targets []target.Target // those that started
	settled map[string]bool // code that a target has compiled
	done    int
	total   int
}

func (e *evaluation) start(ctx context.Context) error {
	if err := e.config.Floor.Start(ctx); err != nil {
		return fmt.Errorf("start %s: %w", e.config.Floor.Name(), err)
	}
	e.targets = append(e.targets, e.config.Floor)
	e.run.Targets = append(e.run.Targets, result.Target{
		Name: e.config.Floor.Name(), Description: e.config.Floor.Description(), Floor: true,
	})
	for _, t := range e.config.Targets {
		said := result.Target{Name: t.Name(), Description: t.Description(), Reference: slices.Contains(e.config.References, t.Name())}
		e.say("starting " + t.Name())
		switch err := t.Start(ctx); {
		case ctx.Err() != nil:
			return e.partial(ctx)
		case err != nil:
			said.Unavailable = err.Error()
		default:
			e.targets = append(e.targets, t)
		}
		e.run.Targets = append(e.run.Targets, said)
	}
	if len(e.targets) == 1 {
		return errors.New("none of the targets could be started")
	}
	return nil
}

func (e *evaluation) stop() error {
	var errs []error
	for _, t := range e.targets {
		if err := t.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", t.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// partial marks the run as ended before its time, which is no error.
func (e *evaluation) partial(ctx context.Context) error {
	e.run.Partial = true
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (e *evaluation) say(doing string) {
	if e.config.Progress != nil {
		e.config.Progress(Progress{Doing: doing, Done: e.done, Total: e.total})
	}
}

func (e *evaluation) measure(ctx context.Context, chosen []experiment) error {
	scale := full()
	if e.config.Quick {
		scale = quick()
	}
	if e.config.Rounds > 0 {
		scale.rounds = e.config.Rounds
	}
	scale.trace = e.config.Trace
	planned := make([]work, len(chosen))
	for i, x := range chosen {
		planned[i] = e.plan(x, scale)
		e.total += scale.rounds * len(planned[i].steps)
	}
	for _, w := range planned {
		err := e.conduct(ctx, w, scale.rounds)
		if ctx.Err() != nil {
			return e.partial(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.experiment.Name, err)
		}
	}
	return nil
}
