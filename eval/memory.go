package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

const (
	resident     = "resident memory"
	perContainer = "memory per container"
)

// mostMemory is how much memory of a target ends a trial: what it has no place for
// is a failure in the record rather than the machine's.
const mostMemory = 4 << 30

func memory() experiment {
	return experiment{
		Section: result.Section{
			Name:     "memory",
			Title:    "Memory",
			Question: "What does an action cost that is warm and idle?",
			Method: "Each container has run once, of code that had been seen before the target was started (its artefact is on disk) unless it is distinct. Resident memory is that of all processes of the target, shared pages counted once; " +
				"what it had before the first container, right after its start, is taken off and divided by the number of containers. " +
				"Distinct: each container has code of its own.",
			Figures: []result.Figure{
				{Name: "memory", Title: "Memory per warm container, one module of 3 MB", Kind: result.Lines, Metric: perContainer, Variant: "large", Log: true, LogX: true},
				{Name: "memory-small", Title: "Memory per warm container, one small module", Kind: result.Lines, Metric: perContainer, Variant: "small", Log: true, LogX: true},
				{Name: "memory-distinct", Title: "Memory per warm container, distinct small modules", Kind: result.Lines, Metric: perContainer, Variant: "small, distinct", Log: true, LogX: true},
				{Name: "memory-resident", Title: "Resident memory, one module of 3 MB", Kind: result.Lines, Metric: resident, Variant: "large", Log: true, LogX: true},
			},
		},
		axis:   "containers",
		trials: memoryTrials,
	}
}

func memoryTrials(s scale) []trial {
	var trials []trial
	for _, n := range s.containers {
		for _, size := range s.sizes {
			f := fleet{n: n, size: size}
			trials = append(trials, trial{variant: string(size), x: float64(n), measure: f.measure, fits: hasState})
		}
	}
	for _, n := range s.distinct {
		f := fleet{n: n, size: target.Small, distinct: true}
		trials = append(trials, trial{variant: "small, distinct", x: float64(n), measure: f.measure, fits: hasState})
	}
	return trials
}

// fleet is n warm containers.
type fleet struct {
	n        int
	size     target.Size
	distinct bool
}

func (f fleet) measure(ctx context.Context, b *bench) error {
	if err := f.seen(ctx, b); err != nil {
		return err
	}
	before, err := b.target.Resident(ctx)
	if err != nil {
		return err
	}
	if err := f.start(ctx, b, before); err != nil {
		return err
	}
	if err := b.target.Settle(ctx); err != nil {
		return err
	}
	after, err := b.target.Resident(ctx)
	if err != nil {
		return err
	}
	b.value(resident, bytes, float64(after))
	b.value(perContainer, bytes, float64(max(after-before, 0))/float64(f.n))
	return nil
}

// seen has the target know the code that the containers share, and then forget all
// but what it keeps.
func (f fleet) seen(ctx context.Context, b *bench) error {
	if !f.distinct {
		if _, err := b.first(ctx, target.Action{Name: b.names(1)[0], Program: target.Add, Size: f.size}); err != nil {
			return err
		}
	}
	return b.restart(ctx)
}

// start runs the actions once each, a few at once.
func (f fleet) start(ctx context.Context, b *bench, before int64) error {
	const atOnce = 20
	code := ""
	for some := range slices.Chunk(b.names(f.n), atOnce) {
		p := load.Plan{Clients: 4}
		for i, name := range some {
			if f.distinct {
				code = name
			}
			d, err := b.deploy(ctx, target.Action{Name: name, Program: target.Add, Size: f.size, Code: code})
			if err != nil {
				return err
			}
			p.Operations = append(p.Operations, d.First)
			p.Sequence = append(p.Sequence, i)
		}
		if err := b.succeed(ctx, p); err != nil {
			return err
		}
		now, err := b.target.Resident(ctx)
		if err != nil {
			return err
		}
		if now-before > mostMemory {
			return fmt.Errorf("passes %d GiB of memory", mostMemory>>30)
		}
	}
	return nil
}

// succeed runs a plan of which nothing may fail.
func (b *bench) succeed(ctx context.Context, p load.Plan) error {
	r, err := b.generate(ctx, p)
	if err != nil {
		return err
	}
	for _, s := range r.Samples {
		if s.Failure != "" {
			return errors.New("first activation: " + s.Failure)
		}
	}
	return nil
}
