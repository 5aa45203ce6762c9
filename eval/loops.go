package eval

import (
	"context"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// What an activation does in the experiments under load.
const (
	computing = "CPU-bound"
	waiting   = "I/O-bound"
)

// blockTime is how long the program "block" waits for its host.
const blockTime = 300 * time.Millisecond

func concurrency() experiment {
	return experiment{
		Section: result.Section{
			Name:     "concurrency",
			Title:    "Concurrency",
			Question: "How many activations a second does one action bear as more clients ask at once?",
			Method: "A closed loop: each client asks again as soon as it has its answer. " +
				"CPU-bound is BLAKE3 over and over (a sieve in a quick run), I/O-bound is 300 ms in a call of the host.",
			Figures: []result.Figure{
				{Name: "concurrency-cpu", Title: "CPU-bound: activations a second", Kind: result.Lines, Metric: throughput, Variant: computing},
				{Name: "concurrency-io", Title: "I/O-bound: activations a second", Kind: result.Lines, Metric: throughput, Variant: waiting},
				{Name: "concurrency-cpu-latency", Title: "CPU-bound: latency", Kind: result.Lines, Metric: latency, Variant: computing, Log: true},
				{Name: "concurrency-io-latency", Title: "I/O-bound: latency", Kind: result.Lines, Metric: latency, Variant: waiting, Log: true},
			},
		},
		axis: "clients",
		trials: func(s scale) []trial {
			var trials []trial
			for _, n := range s.clients {
				trials = append(trials, trial{variant: computing, x: float64(n), measure: closed(s.compute, n, s.window), fits: hasState})
			}
			for _, n := range s.waiters {
				trials = append(trials, trial{variant: waiting, x: float64(n), measure: closed(s.wait, n, max(s.window, blockTime/2)), fits: hasState})
			}
			return trials
		},
	}
}

// closed asks a warm action from n clients for a while.
func closed(action func(name string) target.Action, n int, window time.Duration) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		invoke, err := b.warm(ctx, action(b.names(1)[0]))
		if err != nil {
			return err
		}
		r, err := b.generate(ctx, load.Plan{Operations: []load.Operation{invoke}, Sequence: []int{0}, Clients: n, Duration: window})
		if err != nil {
			return err
		}
		b.report(r, b.everything)
		return nil
	}
}

func mixed() experiment {
	return experiment{
		Section: result.Section{
			Name:     "mixed",
			Title:    "Mixed load",
			Question: "Do activations that compute and activations that wait get into each other's way?",
			Method:   "Two actions, one that computes and one that waits 300 ms, asked equally often in a random order, in a closed loop.",
			Figures: []result.Figure{
				{Name: "mixed", Title: "Half computing, half waiting: activations a second", Kind: result.Lines, Metric: throughput},
				{Name: "mixed-cpu-latency", Title: "Latency of those that compute", Kind: result.Lines, Metric: latency, Variant: computing, Log: true},
				{Name: "mixed-io-latency", Title: "Latency of those that wait", Kind: result.Lines, Metric: latency, Variant: waiting, Log: true},
			},
		},
		axis: "clients",
		trials: func(s scale) []trial {
			var trials []trial
			for _, n := range s.mixed {
				trials = append(trials, trial{x: float64(n), measure: mixture(s, n), fits: hasState})
			}
			return trials
		},
	}
}

func mixture(s scale, clients int) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		names := b.names(2)
		hash, err := b.warm(ctx, s.compute(names[0]))
		if err != nil {
			return err
		}
		wait, err := b.warm(ctx, s.wait(names[1]))
		if err != nil {
			return err
		}
		r, err := b.generate(ctx, load.Plan{
			Operations: []load.Operation{hash, wait}, Sequence: b.shuffled(100, 2),
			Clients: clients, Duration: max(s.window, blockTime/2),
		})
		if err != nil {
			return err
		}
		b.report(r, func(s load.Sample) []string { return []string{[]string{computing, waiting}[s.Operation]} })
		return nil
	}
}

// shuffled is a sequence of n operations, of each of kinds equally many.
func (b *bench) shuffled(n, kinds int) []int {
	sequence := make([]int, n)
	for i := range sequence {
		sequence[i] = i % kinds
	}
	b.random.Shuffle(n, func(i, j int) { sequence[i], sequence[j] = sequence[j], sequence[i] })
	return sequence
}

func skewed() experiment {
	return experiment{
		Section: result.Section{
			Name:     "skewed",
			Title:    "Skewed load",
			Question: "What do most see when a few actions get most of the requests and many are hardly ever asked?",
			Method: "Nine of ten requests go to two hot actions that have run before, one of ten to rare ones, each of which runs for the first time and has code of its own. " +
				"Half of each compute, half wait 300 ms. Four clients in a closed loop.",
			Figures: []result.Figure{
				{Name: "skewed", Title: "Latency of all", Kind: result.ECDF, Metric: latency, Variant: "all", Log: true},
				{Name: "skewed-hot", Title: "Latency of the hot ones", Kind: result.ECDF, Metric: latency, Variant: "hot", Log: true},
				{Name: "skewed-rare", Title: "Latency of the rare ones", Kind: result.ECDF, Metric: latency, Variant: "rare", Log: true},
			},
		},
		trials: func(s scale) []trial { return []trial{{measure: skew(s), fits: hasState}} },
	}
}

const skewedClients = 4

func skew(s scale) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		p, err := b.hotAndRare(ctx, s)
		if err != nil {
			return err
		}
		r, err := b.generate(ctx, p)
		if err != nil {
			return err
		}
		b.report(r, func(s load.Sample) []string {
			if s.Operation < 2 {
				return []string{"all", "hot"}
			}
			return []string{"all", "rare"}
		})
		return nil
	}
}

// hotAndRare plans the two hot actions as the first two operations, and the rare
// ones as one each.
func (b *bench) hotAndRare(ctx context.Context, s scale) (load.Plan, error) {
	p := load.Plan{Clients: skewedClients}
	for i, name := range b.names(2) {
		invoke, err := b.warm(ctx, s.either(i, name))
		if err != nil {
			return p, err
		}
		p.Operations = append(p.Operations, invoke)
	}
	for i, name := range b.names(s.rare) {
		d, err := b.deploy(ctx, s.own(i, name))
		if err != nil {
			return p, err
		}
		p.Operations = append(p.Operations, d.First)
		p.Sequence = append(p.Sequence, i+2)
	}
	for i := range s.hot {
		p.Sequence = append(p.Sequence, i%2)
	}
	b.random.Shuffle(len(p.Sequence), func(i, j int) { p.Sequence[i], p.Sequence[j] = p.Sequence[j], p.Sequence[i] })
	return p, nil
}

func burst() experiment {
	const clients = 100
	return experiment{
		Section: result.Section{
			Name:     "burst",
			Title:    "Burst",
			Question: "What happens when a hundred clients come at once?",
			Method:   "A hundred clients ask one warm, small action, each as often as any other, as fast as they get answers.",
			Figures: []result.Figure{
				{Name: "burst", Title: "Activations a second", Kind: result.Bars, Metric: throughput, Log: true},
				{Name: "burst-latency", Title: "Latency", Kind: result.ECDF, Metric: latency, Log: true},
			},
		},
		trials: func(s scale) []trial {
			return []trial{{measure: func(ctx context.Context, b *bench) error {
				invoke, err := b.warm(ctx, target.Action{Name: b.names(1)[0], Program: target.Add, Size: target.Small})
				if err != nil {
					return err
				}
				r, err := b.generate(ctx, load.Plan{Operations: []load.Operation{invoke}, Sequence: make([]int, clients*s.burst), Clients: clients})
				if err != nil {
					return err
				}
				b.report(r, b.everything)
				return nil
			}}}
		},
	}
}

func cpu() experiment {
	return experiment{
		Section: result.Section{
			Name:     "cpu",
			Title:    "Computing",
			Question: "How fast does code run, beside the same code as a native program?",
			Method:   "One client, one warm action: BLAKE3 over and over, and a sieve of Eratosthenes. Latency is the whole activation's.",
			Figures: []result.Figure{
				{Name: "cpu-blake3", Title: "BLAKE3", Kind: result.Bars, Metric: latency, Variant: "BLAKE3"},
				{Name: "cpu-sieve", Title: "Sieve", Kind: result.Bars, Metric: latency, Variant: "sieve"},
			},
		},
		trials: func(s scale) []trial {
			var trials []trial
			for _, k := range s.kernels {
				trials = append(trials, trial{variant: k.name, measure: closed(k.action, 1, s.window), fits: hasState})
			}
			return trials
		},
	}
}
