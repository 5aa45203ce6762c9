package eval

import (
	"context"
	"math"
	"time"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/result"
	"wasmwhisk/eval/target"
)

// borneLatency is the 99th percentile up to which a rate is borne.
const borneLatency = 10 * time.Millisecond

const borne = "capacity"

func capacity() experiment {
	return experiment{
		Section: result.Section{
			Name:     "capacity",
			Title:    "Capacity",
			Question: "How many requests a second can come before one in a hundred waits longer than 10 ms?",
			Method: "Requests for one warm, small action come at random, independently of the answers (Poisson), at rising rates. " +
				"Latency counts from when a request should have been sent, so that a stalled target cannot hide what it keeps waiting. " +
				"Capacity is the highest rate before the first at which the 99th percentile passes 10 ms or anything fails.",
			Figures: []result.Figure{
				{Name: "capacity", Title: "Highest rate with p99 under 10 ms", Kind: result.Bars, Metric: borne, Log: true},
				{Name: "capacity-latency", Title: "Latency by rate", Kind: result.Lines, Metric: latency, Log: true, LogX: true},
			},
		},
		axis:   "requests a second",
		trials: func(s scale) []trial { return []trial{{measure: climb(s)}} },
	}
}

// climb tries rates, from a quarter of what a closed loop reaches.
func climb(s scale) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		invoke, err := b.warm(ctx, target.Action{Name: b.names(1)[0], Program: target.Add, Size: target.Small})
		if err != nil {
			return err
		}
		plan := load.Plan{Operations: []load.Operation{invoke}, Sequence: []int{0}, Duration: s.window}
		loop := plan
		loop.Clients = 16
		r, err := b.generate(ctx, loop)
		if err != nil {
			return err
		}
		best, rate := 0.0, roundRate(float64(len(r.Samples))/r.Took.Seconds()/4)
		for range s.rates {
			plan.Rate = rate
			bears, err := b.holds(ctx, plan)
			if err != nil {
				return err
			}
			if !bears {
				break
			}
			best, rate = rate, nextRate(rate)
		}
		b.value(borne, perSecond, best)
		return nil
	}
}

// holds records what a rate does, and tells whether the target bears it.
func (b *bench) holds(ctx context.Context, p load.Plan) (bool, error) {
	r, err := b.generate(ctx, p)
	if err != nil {
		return false, err
	}
	failed := false
	for _, s := range r.Samples {
		failed = failed || s.Failure != ""
		b.add(result.Sample{Key: result.Key{Metric: latency, Unit: seconds}, X: p.Rate, Value: s.Took.Seconds(), Failure: s.Failure})
	}
	if r.Saturated {
		b.recorder.Saturate(result.Key{Target: b.target.Name(), Metric: latency, Unit: seconds}, p.Rate)
		b.saturate(borne, perSecond, "")
	}
	tail := load.Percentile99(r.Samples, func(s load.Sample) time.Duration { return s.Took })
	return !failed && !r.Saturated && tail <= borneLatency, nil
}

// steps are the rates in each power of ten: a third more each, and the same for
// all targets and rounds, so that they can be compared.
func steps() []float64 { return []float64{1, 1.3, 1.8, 2.4, 3.2, 4.2, 5.6, 7.5, 10} }

// roundRate is the step at or below a rate.
func roundRate(rate float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(rate, 1))))
	best := power
	for _, s := range steps() {
		if s*power <= rate {
			best = s * power
		}
	}
	return best
}

func nextRate(rate float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(rate)+1e-9))
	for _, s := range steps() {
		if s*power > rate*1.01 {
			return s * power
		}
	}
	return rate * 1.3
}
