package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// What is known of an action's code when it runs for the first time.
const (
	neverSeen = "never seen"
	onDisk    = "artefact on disk"
	inMemory  = "module in memory"
)

// initialization is what a first activation has to wait for besides its run: the
// time of /init, or waitTime and initTime of OpenWhisk's record.
const initialization = "initialization"

func coldStart() experiment {
	return experiment{
		Section: result.Section{
			Name:     "cold-start",
			Title:    "Cold start",
			Question: "How long does the first activation of an action take, and what if several come at once?",
			Method: "As many actions as there are concurrent activations, each with code of its own, run for the first time at once. " +
				"Never seen: nobody has seen the code before. Artefact on disk: the target was restarted after it had. " +
				"Module in memory: another action has the same code and has run. " +
				"Latency is that of /init and /run together, or of one blocking invocation; " +
				"initialization is /init, or waitTime and initTime of the record.",
			Figures: append(coldFigures(target.Large, "a Go program of 3 MB"), coldFigures(target.Small, "a program of 1 KB")...),
		},
		axis:   "concurrent activations",
		trials: coldTrials,
	}
}

func coldTrials(s scale) []trial {
	var trials []trial
	for _, n := range s.cold {
		for _, size := range s.coldSizes {
			c := cold{size: size, n: n}
			trials = append(trials,
				trial{variant: ofSize(neverSeen, size), x: float64(n), measure: c.neverSeen},
				trial{variant: ofSize(onDisk, size), x: float64(n), measure: c.onDisk, fits: hasState},
				trial{variant: ofSize(inMemory, size), x: float64(n), measure: c.inMemory, fits: hasState},
			)
		}
	}
	return trials
}

func ofSize(known string, s target.Size) string { return known + ", " + string(s) }

// coldFigures are those of code of a size.
func coldFigures(s target.Size, what string) []result.Figure {
	name := "cold-start-" + string(s)
	figure := func(suffix, title, metric, known string) result.Figure {
		return result.Figure{
			Name: name + suffix, Title: title + ", " + what, Kind: result.Lines,
			Metric: metric, Variant: ofSize(known, s), Log: true,
		}
	}
	return []result.Figure{
		figure("", "First activation of code never seen", latency, neverSeen),
		figure("-disk", "First activation, artefact on disk", latency, onDisk),
		figure("-memory", "First activation, module in memory", latency, inMemory),
		figure("-init", "Initialization of code never seen", initialization, neverSeen),
	}
}

// hasState tells whether a target may know code that it has seen.
func hasState(t target.Target) bool { return t.Protocol() != target.Constant }

// cold is n first activations at once.
type cold struct {
	size target.Size
	n    int
}

func (c cold) action(name, code string) target.Action {
	if c.size == target.Small {
		return target.Action{Name: name, Program: target.Add, Size: c.size, Code: code}
	}
	return target.Action{Name: name, Program: target.Hash, Size: c.size, Code: code, Input: hashInput(1000)}
}

func hashInput(iterations int) string {
	return fmt.Sprintf(`{"iterations":%d,"input":"abc"}`, iterations)
}

// names are n names, and codes, that no target has met: not in an earlier
// evaluation either.
func (b *bench) names(n int) []string {
	names := make([]string, n)
	for i := range names {
		b.named++
		names[i] = fmt.Sprintf("eval-%s-%d", strconv.FormatInt(b.since.UnixNano(), 36), b.named)
	}
	return names
}

func (c cold) neverSeen(ctx context.Context, b *bench) error {
	names := b.names(c.n)
	return c.start(ctx, b, names, names)
}

// onDisk has the target see the code, forget all but what it keeps, and meet
// the code again.
func (c cold) onDisk(ctx context.Context, b *bench) error {
	codes := b.names(c.n)
	for _, code := range codes {
		if _, err := b.first(ctx, c.action(code, code)); err != nil {
			return err
		}
	}
	if err := b.restart(ctx); err != nil {
		return err
	}
	return c.start(ctx, b, b.names(c.n), codes)
}

func (c cold) inMemory(ctx context.Context, b *bench) error {
	code := b.names(1)[0]
	if _, err := b.warm(ctx, c.action(code, code)); err != nil {
		return err
	}
	codes := make([]string, c.n)
	for i := range codes {
		codes[i] = code
	}
	return c.start(ctx, b, b.names(c.n), codes)
}

// start runs actions of these names and codes for the first time, all at once.
func (c cold) start(ctx context.Context, b *bench, names, codes []string) error {
	p := load.Plan{Clients: c.n, Bodies: true}
	for i, name := range names {
		d, err := b.deploy(ctx, c.action(name, codes[i]))
		if err != nil {
			return err
		}
		p.Operations = append(p.Operations, d.First)
		p.Sequence = append(p.Sequence, i)
	}
	r, err := b.generate(ctx, p)
	if err != nil {
		return err
	}
	for _, s := range r.Samples {
		b.latency(r, s, b.trial.variant)
		if took, ok := initTook(b.target.Protocol(), s); ok {
			b.value(initialization, seconds, took.Seconds())
		}
	}
	return nil
}

// initTook is how long a first activation waited before its run.
func initTook(p target.Protocol, s load.Sample) (time.Duration, bool) {
	switch {
	case s.Failure != "":
		return 0, false
	case p == target.REST:
		return recorded(s.Body)
	case s.Prepared && len(s.Steps) > 1:
		return s.Steps[0], true
	}
	return 0, false
}

// recorded reads waitTime and initTime, which are milliseconds, from a record. It
// is false if the activation met a container that had been initialized.
func recorded(record []byte) (time.Duration, bool) {
	var r struct {
		Annotations []struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		} `json:"annotations"`
	}
	if json.Unmarshal(record, &r) != nil {
		return 0, false
	}
	var sum float64
	cold := false
	for _, a := range r.Annotations {
		var ms float64
		if (a.Key == "waitTime" || a.Key == "initTime") && json.Unmarshal(a.Value, &ms) == nil {
			sum += ms
			cold = cold || a.Key == "initTime"
		}
	}
	return time.Duration(sum * float64(time.Millisecond)), cold
}
