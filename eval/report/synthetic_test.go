package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"wasmwhisk/eval/result"
)

// ordinary is a run as it may well be, from a fixed seed; slowness multiplies what
// wazero takes.
func ordinary(t *testing.T, slowness float64) result.Run {
	t.Helper()
	run := result.Run{
		Command: []string{"executor", "eval", "all", "--quick", "--target", "openwhisk=http://127.0.0.1:3233,protocol=rest"},
		Version: "v0.9.0", Seed: 42, Quick: true,
		Began: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Took: 118 * time.Second,
		Machine: result.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1.0", Processor: "A processor @ 3 GHz", Cores: 2, MemoryBytes: 8 << 30, Load: 0.31},
		Targets: []result.Target{
			{Name: "wazero", Description: "our executor, engine wazero, a fresh sandbox for each activation"},
			{Name: "wasmtime", Description: "our executor, engine wasmtime"},
			{Name: "rest", Description: "our REST front over wazero"},
			{Name: "process per request", Description: "a native program for each request", Reference: true},
			{Name: "actionloop", Description: "a native program that stays", Reference: true},
			{Name: "node", Description: "an action server in Node"},
			{Name: "wasmer", Description: "our executor, engine wasmer", Unavailable: "there is no wasmer-worker beside the executor"},
			{Name: "floor", Description: "a constant", Floor: true},
		},
	}
	run.Sections = []result.Section{coldStart(t, slowness), concurrency(t), memory(t)}
	return run
}

// typical is the latency of the targets, in seconds.
func typical(slowness float64) map[string]float64 {
	return map[string]float64{
		"wazero": 0.0009 * slowness, "wasmtime": 0.0007, "rest": 0.0014, "process per request": 0.0061,
		"actionloop": 0.0004, "node": 0.0008, "floor": 0.00011,
	}
}

func names() []string {
	return []string{"wazero", "wasmtime", "rest", "process per request", "actionloop", "node", "floor"}
}

func recorded(t *testing.T, axis string, record func(r *result.Recorder, random *rand.Rand)) []result.Series {
	t.Helper()
	r, err := result.NewRecorder(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	r.Axis = axis
	record(r, rand.New(rand.NewPCG(1, 2)))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return r.Series()
}

func coldStart(t *testing.T, slowness float64) result.Section {
	factors := map[string]float64{"never seen": 90, "on disk": 6, "in memory": 1}
	return result.Section{
		Name: "cold-start", Title: "Cold start",
		Question: "How long does the first activation of an action take?",
		Method:   "A new action for each sample, one at a time, targets in turns; from the request to the end of the answer.",
		Figures: []result.Figure{
			{Name: "cold-start", Title: "First activation", Kind: result.Bars, Metric: "latency", Log: true},
			{Name: "cold-start-distribution", Title: "First activation, every sample", Kind: result.ECDF, Metric: "latency", Log: true},
		},
		Series: recorded(t, "", func(r *result.Recorder, random *rand.Rand) {
			for _, variant := range []string{"never seen", "on disk", "in memory"} {
				for _, name := range names() {
					key := result.Key{Target: name, Variant: variant, Metric: "latency", Unit: "s"}
					if name == "floor" {
						key.Variant = ""
					}
					factor := factors[variant]
					if name == "floor" || name == "actionloop" || name == "process per request" {
						factor = 1
					}
					for i := range 250 {
						r.Add(result.Sample{Key: key, Round: i / 50, Value: typical(slowness)[name] * factor * math.Exp(random.NormFloat64()*0.25)})
					}
				}
			}
			r.Add(result.Sample{Key: result.Key{Target: "node", Variant: "never seen", Metric: "latency", Unit: "s"}, Failure: "timeout"})
		}),
	}
}

func concurrency(t *testing.T) result.Section {
	return result.Section{
		Name: "concurrency", Title: "Concurrency", Partial: true,
		Question: "What becomes of latency and throughput as clients are added?",
		Method:   "One request loop, one more every second.",
		Figures: []result.Figure{
			{Name: "concurrency-latency", Title: "Latency by clients, hash", Kind: result.Lines, Metric: "latency", Variant: "hash", Log: true},
			{Name: "concurrency-throughput", Title: "Throughput by clients", Kind: result.Lines, Metric: "throughput"},
			{Name: "concurrency-distribution", Title: "Latency at the end", Kind: result.ECDF, Metric: "latency", Variant: "hash"},
		},
		Series: recorded(t, "clients", func(r *result.Recorder, random *rand.Rand) {
			for _, variant := range []string{"hash", "block 300 ms"} {
				for _, name := range names() {
					for _, x := range []int{1, 2, 4, 8, 16} {
						latency := typical(1)[name] * (1 + float64(x)/2)
						if variant != "hash" && name != "floor" {
							latency = 0.3 + typical(1)[name]
						}
						for i := range 40 {
							value := latency * math.Exp(random.NormFloat64()*0.2)
							r.Add(result.Sample{Key: result.Key{Target: name, Variant: variant, Metric: "latency", Unit: "s"}, X: float64(x), Round: i / 10, Value: value})
						}
						rate := result.Key{Target: name, Variant: variant, Metric: "throughput", Unit: "1/s"}
						for round := range 4 {
							r.Add(result.Sample{Key: rate, X: float64(x), Round: round, Value: float64(x) / latency * (1 + random.Float64()/10)})
						}
						if name == "floor" && x > 12 {
							r.Saturate(rate, float64(x))
						}
					}
				}
			}
		}),
	}
}

func memory(t *testing.T) result.Section {
	return result.Section{
		Name: "memory", Title: "Memory", Question: "What does a warm container cost?", Method: "Pss of all processes.",
		Figures: []result.Figure{
			{Name: "memory-containers", Title: "Resident memory by containers", Kind: result.Lines, Metric: "memory", Log: true, LogX: true},
			{Name: "memory-each", Title: "A container", Kind: result.Bars, Metric: "memory per container"},
		},
		Series: recorded(t, "containers", func(r *result.Recorder, random *rand.Rand) {
			each := map[string]float64{"wazero": 130e3, "wasmtime": 90e3, "actionloop": 3e6, "node": 45e6}
			begin := map[string]float64{"wazero": 30e6, "wasmtime": 25e6, "actionloop": 1e6, "node": 1e6}
			for _, name := range []string{"wazero", "wasmtime", "actionloop", "node"} {
				for _, x := range []float64{1, 10, 100, 1000} {
					if name == "node" && x > 100 {
						r.Add(result.Sample{Key: result.Key{Target: name, Metric: "memory", Unit: "B"}, X: x, Failure: "out of memory"})
						continue
					}
					for round := range 3 {
						r.Add(result.Sample{Key: result.Key{Target: name, Metric: "memory", Unit: "B"}, X: x, Round: round, Value: begin[name] + x*each[name]*(1+random.Float64()/20)})
					}
				}
				for round := range 3 {
					r.Add(result.Sample{Key: result.Key{Target: name, Metric: "memory per container", Unit: "B"}, Round: round, Value: each[name] * (1 + random.Float64()/20)})
				}
			}
		}),
	}
}

// extreme is a run of what should not happen.
func extreme(t *testing.T) result.Run {
	t.Helper()
	run := result.Run{Partial: true, Command: []string{"executor", "eval", "all", "--out", "it's <here>"}, Version: "devel"}
	for i := range 40 {
		run.Targets = append(run.Targets, result.Target{Name: fmt.Sprintf("target %02d", i), Reference: i < 2})
	}
	run.Targets = append(run.Targets, result.Target{Name: "<script>alert(1)</script> & " + strings.Repeat("long ", 20), Description: "<b>bold</b>"})
	sections := []result.Section{
		{Name: "many", Title: "Forty targets"},
		{Name: "strange", Title: "Strange <values>", Question: "Is <i>this</i> escaped?"},
		{Name: "empty", Title: "Nothing", Figures: []result.Figure{{Name: "empty", Title: "Nothing", Kind: result.Lines, Metric: "latency"}}},
	}
	for i, kind := range []result.Kind{result.Bars, result.Lines, result.ECDF} {
		for _, log := range []bool{false, true} {
			scale := map[bool]string{false: "linear", true: "log"}[log]
			sections[0].Figures = append(sections[0].Figures, result.Figure{Name: fmt.Sprintf("many-%d-%s", i, scale), Title: fmt.Sprintf("%s, %s", kind, scale), Kind: kind, Metric: "latency", Log: log, LogX: log})
			sections[1].Figures = append(sections[1].Figures, result.Figure{Name: fmt.Sprintf("strange-%d-%s", i, scale), Title: fmt.Sprintf("%s, %s <&>", kind, scale), Kind: kind, Metric: "latency", Log: log, LogX: log})
		}
	}
	sections[0].Series = manySeries(t, run.Targets)
	sections[1].Series = strangeSeries(run.Targets)
	run.Sections = sections
	return run
}

func manySeries(t *testing.T, targets []result.Target) []result.Series {
	return recorded(t, "", func(r *result.Recorder, random *rand.Rand) {
		for i, target := range targets {
			for x := range 3 {
				for n := range 20 {
					value := float64(i+1) * math.Pow(10, float64(x)-4) * (1 + random.Float64())
					r.Add(result.Sample{Key: result.Key{Target: target.Name, Metric: "latency", Unit: "s"}, X: float64(x), Round: n % 4, Value: value})
				}
			}
		}
	})
}

func strangeSeries(targets []result.Target) []result.Series {
	point := func(v ...float64) result.Point {
		least, most := v[0], v[len(v)-1]
		q := result.Quantiles{Min: least, P10: least, P25: least, P50: v[len(v)/2], P75: most, P90: most, P95: most, P99: most, Max: most}
		return result.Point{Count: len(v), Mean: v[0], Quantiles: q, Rounds: v, ECDF: v}
	}
	points := []result.Point{
		point(0), point(0, 0, 0), point(1), point(1e-9, 1, 1e9), point(math.SmallestNonzeroFloat64, math.MaxFloat64/4),
		{Failed: 12},
		{Count: 3, Failed: 1, Saturated: true, Quantiles: result.Quantiles{P50: 2, Max: 3}, Rounds: nil},
		point(-1, 0, 1),
	}
	var all []result.Series
	for i, p := range points {
		p.X = float64(i)
		all = append(all, result.Series{Key: result.Key{Target: targets[len(targets)-1-i].Name, Variant: "<variant>", Metric: "latency", Unit: "s"}, Axis: "<axis>", Points: []result.Point{p}})
	}
	return append(all, result.Series{Key: result.Key{Target: "a target that is not in the list", Metric: "latency", Unit: "parsecs"}})
}
