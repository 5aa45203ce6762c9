package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// experiment is a question, and the conditions under which it is asked.
type experiment struct {
	result.Section
	axis   string // what the x of its conditions is
	trials func(scale) []trial
}

// trial is one condition. It is measured for every target in every round.
type trial struct {
	variant string
	x       float64
	measure func(ctx context.Context, b *bench) error

	// fits tells which targets it can be measured for; nil means all.
	fits func(target.Target) bool
}

func experiments() []experiment {
	return []experiment{
		coldStart(), concurrency(), mixed(), skewed(), burst(),
		memory(), cpu(), capacity(), trace(),
	}
}

// work is an experiment with what it takes: a step for each condition and target.
type work struct {
	experiment experiment
	steps      []step
}

type step struct {
	trial  trial
	target target.Target
}

func (e *evaluation) plan(x experiment, s scale) work {
	w := work{experiment: x}
	for _, t := range x.trials(s) {
		for _, tt := range e.targets {
			if t.suits(tt) {
				w.steps = append(w.steps, step{trial: t, target: tt})
			}
		}
	}
	return w
}

func (t trial) suits(tt target.Target) bool {
	return t.fits == nil || t.fits(tt)
}

// conduct measures all steps of an experiment, round by round, and adds what was
// found to the run, even when it is ended before its time.
func (e *evaluation) conduct(ctx context.Context, w work, rounds int) (err error) {
	recorder, err := result.NewRecorder(e.config.Dir, w.experiment.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, recorder.Close()) }()
	recorder.Axis = w.experiment.axis
	began := time.Now()
	for round := range rounds {
		for _, s := range inTurn(w.steps, round) {
			if ctx.Err() != nil {
				break
			}
			e.say(fmt.Sprintf("%s · %s · %s", w.experiment.Name, s.trial.label(w.experiment.axis), s.target.Name()))
			b := &bench{
				target: s.target, generator: e.config.Generator, recorder: recorder,
				trial: s.trial, round: round, began: began, since: time.Now(), settled: e.settled,
				random: s.trial.random(e.config.Seed, w.experiment.Name, round),
			}
			b.take(ctx)
			e.done++
		}
	}
	section := w.experiment.found(recorder.Series())
	section.Partial = ctx.Err() != nil
	e.run.Sections = append(e.run.Sections, section)
	return nil
}

// found is the section of an experiment that measured those series, with the
// figures that have something to show.
func (x experiment) found(series []result.Series) result.Section {
	section := x.Section
	section.Series = series
	for i, s := range series {
		if len(s.Points) == 1 && s.Points[0].X == 0 {
			series[i].Axis = "" // one figure for the whole, such as a capacity
		}
	}
	section.Figures = slices.DeleteFunc(slices.Clone(section.Figures), func(f result.Figure) bool { return !shows(f, series) })
	return section
}

// shows tells whether there is anything in a figure.
func shows(f result.Figure, all []result.Series) bool {
	return slices.ContainsFunc(all, func(s result.Series) bool {
		return s.Metric == f.Metric && (f.Variant == "" || f.Variant == s.Variant)
	})
}

// inTurn has the targets of each condition begin with another one in each round.
func inTurn(steps []step, round int) []step {
	var turned []step
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && steps[n].trial.same(steps[0].trial) {
			n++
		}
		for i := range n {
			turned = append(turned, steps[(i+round)%n])
		}
		steps = steps[n:]
	}
	return turned
}

// random has every target meet the same order of requests in a round.
func (t trial) random(seed uint64, experiment string, round int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, experiment, t.variant, t.x, round)
	return rand.New(rand.NewPCG(seed, h.Sum64())) //nolint:gosec // repeatable is what it has to be
}

func (t trial) same(u trial) bool { return t.variant == u.variant && t.x == u.x }

func (t trial) label(axis string) string {
	switch {
	case axis == "" || t.x == 0:
		return cmp.Or(t.variant, "all")
	case t.variant == "":
		return fmt.Sprintf("%g %s", t.x, axis)
	}
	return fmt.Sprintf("%s, %g %s", t.variant, t.x, axis)
}

// bench is where one condition is measured for one target.
type bench struct {
	target    target.Target
	generator Generator
	recorder  *result.Recorder
	trial     trial
	round     int
	began     time.Time // the experiment
	since     time.Time // this measurement
	random    *rand.Rand
	deployed  []*target.Deployed
	named     int
	settled   map[string]bool // code that was compiled
}

// take measures, and has the target forget the actions. That a target fails is a
// sample, too, and not the end of the evaluation.
func (b *bench) take(ctx context.Context) {
	err := b.trial.measure(ctx, b)
	for _, d := range b.deployed {
		err = errors.Join(err, b.target.Remove(context.WithoutCancel(ctx), d))
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, target.ErrNoProgram) || errors.Is(err, target.ErrElsewhere) {
		return
	}
	b.add(result.Sample{Key: result.Key{Metric: latency, Unit: seconds}, Failure: err.Error()})
}

// What is measured, and its units.
const (
	latency    = "latency"
	throughput = "throughput"

	seconds   = "s"
	perSecond = "1/s"
	bytes     = "B"
	share     = "1"
)

// add records a sample, as one of this condition where it says nothing else.
func (b *bench) add(s result.Sample) {
	s.Target = b.target.Name()
	s.Variant = cmp.Or(s.Variant, b.trial.variant)
	s.X = cmp.Or(s.X, b.trial.x)
	s.Round = b.round
	s.At = time.Since(b.began)
	b.recorder.Add(s)
}

func (b *bench) value(metric, unit string, v float64) {
	b.add(result.Sample{Key: result.Key{Metric: metric, Unit: unit}, Value: v})
}

// deploy makes an action known to the target until the measurement is over.
func (b *bench) deploy(ctx context.Context, a target.Action) (*target.Deployed, error) {
	d, err := b.target.Action(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("deploy %s: %w", a.Program, err)
	}
	b.deployed = append(b.deployed, d)
	return d, nil
}

// warm has an action run as it runs after a while: it has begun, and nothing is
// compiled any more.
func (b *bench) warm(ctx context.Context, a target.Action) (load.Operation, error) {
	invoke, err := b.first(ctx, a)
	if err != nil {
		return load.Operation{}, err
	}
	return invoke, b.settle(ctx, a)
}

// settle waits until the code of an action is compiled, where it has not been
// waited for before: it is kept.
func (b *bench) settle(ctx context.Context, a target.Action) error {
	code := fmt.Sprintln(b.target.Name(), a.Program, a.Size, a.Code)
	if b.settled[code] {
		return nil
	}
	b.settled[code] = true
	return b.target.Settle(ctx)
}

// first deploys an action and runs it once.
func (b *bench) first(ctx context.Context, a target.Action) (load.Operation, error) {
	d, err := b.deploy(ctx, a)
	if err != nil {
		return load.Operation{}, err
	}
	r, err := b.generate(ctx, load.Plan{Operations: []load.Operation{d.First}, Sequence: []int{0}, Clients: 1})
	if err != nil {
		return load.Operation{}, err
	}
	if why := r.Samples[0].Failure; why != "" {
		return load.Operation{}, fmt.Errorf("first activation of %s: %s", a.Program, why)
	}
	return d.Invoke, nil
}

// restart has the target forget everything but what it keeps on disk.
func (b *bench) restart(ctx context.Context) error {
	if err := b.target.Restart(ctx); err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return nil
}

// generate runs a plan of which something comes to an end.
func (b *bench) generate(ctx context.Context, p load.Plan) (*load.Result, error) {
	p.Seed = b.random.Uint64()
	r, err := b.generator.Run(ctx, p, nil)
	if err != nil && (r == nil || ctx.Err() == nil) {
		return nil, err
	}
	if len(r.Samples) == 0 {
		return nil, errors.New("no operation came to an end")
	}
	return r, nil
}

// everything is the variant of whatever a result has.
func (b *bench) everything(load.Sample) []string { return []string{b.trial.variant} }

// report records how long the operations of a result took, each under its
// variants, and how many there were in a second.
func (b *bench) report(r *load.Result, variants func(load.Sample) []string) {
	good := 0
	for _, s := range r.Samples {
		for _, v := range variants(s) {
			b.latency(r, s, v)
		}
		if s.Failure == "" {
			good++
		}
	}
	b.value(throughput, perSecond, float64(good)/r.Took.Seconds())
	if r.Saturated {
		b.saturate(throughput, perSecond, b.trial.variant)
	}
}

func (b *bench) latency(r *load.Result, s load.Sample, variant string) {
	b.add(result.Sample{
		Key:   result.Key{Metric: latency, Unit: seconds, Variant: variant},
		Value: s.Took.Seconds(), Failure: s.Failure,
	})
	if r.Saturated {
		b.saturate(latency, seconds, variant)
	}
}

// saturate marks a point whose generator was the bottleneck.
func (b *bench) saturate(metric, unit, variant string) {
	b.recorder.Saturate(result.Key{Target: b.target.Name(), Variant: variant, Metric: metric, Unit: unit}, b.trial.x)
}
