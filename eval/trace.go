package eval

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// Trace is how often functions were invoked, minute by minute: a file of the
// Azure Functions data set of 2019.
type Trace struct{ Functions []Function }

// Function is one function of a trace.
type Function struct {
	Name    string
	Minutes []int // invocations in each
}

// Bounds of a trace that is read.
const (
	maxFunctions   = 100_000
	maxInvocations = 10_000_000 // of one function in one minute
)

// leading are the columns before the minutes, nameColumn that which names a function.
func leading() []string { return []string{"HashOwner", "HashApp", "HashFunction", "Trigger"} }

const nameColumn = 2

// ReadTrace reads a file with the columns HashOwner, HashApp, HashFunction,
// Trigger, 1, 2, … up to 1440.
func ReadTrace(r io.Reader) (*Trace, error) {
	lines := csv.NewReader(r)
	lines.ReuseRecord = true
	head, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if err := checkHead(head); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	functions, err := readFunctions(lines)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if len(functions) == 0 {
		return nil, errors.New("trace: has no functions")
	}
	return &Trace{Functions: functions}, nil
}

func readFunctions(lines *csv.Reader) ([]Function, error) {
	var functions []Function
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return functions, nil
		}
		if err != nil {
			return nil, err
		}
		f, err := readFunction(line)
		if err != nil {
			at, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
		if functions = append(functions, f); len(functions) > maxFunctions {
			return nil, fmt.Errorf("has more than %d functions", maxFunctions)
		}
	}
}

func checkHead(head []string) error {
	want := append(leading(), "1")
	if len(head) < len(want) || !slices.Equal(head[:len(want)], want) {
		return fmt.Errorf("columns are %q, want %q and so on", strings.Join(head[:min(len(head), len(want))], ","), strings.Join(want, ","))
	}
	return nil
}

func readFunction(line []string) (Function, error) {
	minutes := line[len(leading()):]
	f := Function{Name: strings.Clone(line[nameColumn]), Minutes: make([]int, len(minutes))}
	for i, field := range minutes {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n > maxInvocations {
			return f, fmt.Errorf("minute %d: %q is not a number of invocations", i+1, field)
		}
		f.Minutes[i] = n
	}
	return f, nil
}

//go:embed trace.csv
var sampleTrace string

// SampleTrace is a small trace, made up: timers, queues, and people who come by
// day.
func SampleTrace() (*Trace, error) { return ReadTrace(strings.NewReader(sampleTrace)) }

const coldShare = "cold share"

func trace() experiment {
	return experiment{
		Section: result.Section{
			Name:     "trace",
			Title:    "A day of functions",
			Question: "How many activations are cold, and how long do they take, when functions are invoked as in production?",
			Method: "Invocations of a trace (Azure Functions 2019, or a made-up one with its columns), its busiest minutes, compressed in time, at random moments within each minute. " +
				"Every function has code of its own; half of them compute, half wait 300 ms. Cold is an activation that found nothing initialized.",
			Figures: []result.Figure{
				{Name: "trace-latency", Title: "Latency", Kind: result.ECDF, Metric: latency, Log: true},
				{Name: "trace-cold", Title: "Share of cold activations", Kind: result.Bars, Metric: coldShare},
				{Name: "trace-memory", Title: "Resident memory", Kind: result.Lines, Metric: resident, Log: true},
			},
		},
		axis:   "seconds into the replay",
		trials: func(s scale) []trial { return []trial{{measure: replay(s), fits: hasState}} },
	}
}

func replay(s scale) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		if err := b.restart(ctx); err != nil && !errors.Is(err, target.ErrElsewhere) {
			return err
		}
		p, err := b.planTrace(ctx, s, s.trace.busiest(s.minutes))
		if err != nil {
			return err
		}
		stop := b.watchMemory(ctx)
		r, err := b.generate(ctx, p)
		if err := errors.Join(err, stop()); err != nil {
			return err
		}
		b.report(r, b.everything)
		b.value(coldShare, share, coldOf(b.target.Protocol(), r.Samples))
		return nil
	}
}

// busiest are the functions of the n minutes in a row with the most invocations,
// without those that are not invoked in them.
func (t *Trace) busiest(n int) []Function {
	from := greatestRun(t.perMinute(), n)
	var busy []Function
	for _, f := range t.Functions {
		minutes := f.Minutes[min(from, len(f.Minutes)):min(from+n, len(f.Minutes))]
		if total(minutes) > 0 {
			busy = append(busy, Function{Name: f.Name, Minutes: minutes})
		}
	}
	return busy
}

// perMinute are the invocations of all functions.
func (t *Trace) perMinute() []int {
	var sums []int
	for _, f := range t.Functions {
		for i, count := range f.Minutes {
			if i == len(sums) {
				sums = append(sums, 0)
			}
			sums[i] += count
		}
	}
	return sums
}

// greatestRun is where the n counts in a row begin whose sum is the greatest.
func greatestRun(counts []int, n int) (from int) {
	best := -1
	for i := 0; i+n <= len(counts); i++ {
		if sum := total(counts[i : i+n]); sum > best {
			best, from = sum, i
		}
	}
	return from
}

func total(counts []int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// planTrace deploys the functions and plans their invocations.
func (b *bench) planTrace(ctx context.Context, s scale, functions []Function) (load.Plan, error) {
	p := load.Plan{Bodies: b.target.Protocol() == target.REST}
	type arrival struct {
		at        time.Duration
		operation int
	}
	var arrivals []arrival
	for i, name := range b.names(len(functions)) {
		d, err := b.deploy(ctx, s.own(i, name))
		if err != nil {
			return p, err
		}
		p.Operations = append(p.Operations, d.First)
		for minute, count := range functions[i].Minutes {
			for range count {
				within := time.Duration(b.random.Int64N(int64(s.minute)))
				arrivals = append(arrivals, arrival{time.Duration(minute)*s.minute + within, i})
			}
		}
	}
	slices.SortFunc(arrivals, func(x, y arrival) int { return cmp.Compare(x.at, y.at) })
	for _, a := range arrivals {
		p.Arrivals = append(p.Arrivals, a.at)
		p.Sequence = append(p.Sequence, a.operation)
	}
	return p, nil
}

// watchMemory records the target's memory twenty times a second until it is
// stopped.
func (b *bench) watchMemory(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	var failed error
	watcher.Go(func() { failed = b.sampleMemory(ctx) })
	return func() error {
		cancel()
		watcher.Wait()
		return failed
	}
}

func (b *bench) sampleMemory(ctx context.Context) error {
	const often = 50 * time.Millisecond
	tick := time.NewTicker(often)
	defer tick.Stop()
	for n := 0; ; n++ {
		now, err := b.target.Resident(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, target.ErrElsewhere):
			return nil
		case err != nil:
			return err
		}
		at := (time.Duration(n) * often).Seconds()
		b.add(result.Sample{Key: result.Key{Metric: resident, Unit: bytes}, X: at, Value: float64(now)})
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// coldOf is the share of cold activations among those that went well.
func coldOf(p target.Protocol, samples []load.Sample) float64 {
	cold, good := 0, 0
	for _, s := range samples {
		if s.Failure == "" {
			good++
		}
		if _, began := initTook(p, s); began {
			cold++
		}
	}
	return float64(cold) / float64(max(good, 1))
}
