package plot

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"wasmwhisk/eval/result"
)

func TestLabel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value float64
		unit  string
		want  string
	}{
		{0, "s", "0 s"},
		{0.0012, "s", "1.20 ms"},
		{0.00099996, "s", "1.00 ms"},
		{12.3456e-6, "s", "12.3 µs"},
		{1e-12, "s", "0.001 ns"},
		{90, "s", "90.0 s"},
		{1 << 20, "B", "1.00 MiB"},
		{1536, "B", "1.50 KiB"},
		{12345, "1/s", "12.3 k/s"},
		{7, "1/s", "7.00 /s"},
		{0, "1/s", "0 /s"},
		{1234567, "1", "1,234,567"},
		{-1234, "1", "-1,234"},
		{0.25, "1", "0.250"},
		{3, "parsecs", "3.00 parsecs"},
		{1e300, "s", "1e+300 s"},
	} {
		if got := Label(tt.value, tt.unit); got != tt.want {
			t.Errorf("Label(%v, %q) = %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		low, high float64
		want      string
	}{
		{0.001, 0.002, "1.00–2.00 ms"},
		{0.0001, 0.002, "100 µs – 2.00 ms"},
		{0, 0.002, "0–2.00 ms"},
		{0, 0, "0–0 s"},
	} {
		if got := Range(tt.low, tt.high, "s"); got != tt.want {
			t.Errorf("Range(%v, %v) = %q, want %q", tt.low, tt.high, got, tt.want)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		values []float64
		unit   string
		log    bool
		want   string
	}{
		{"linear", []float64{0.0031, 0.0042}, "s", false, "0|1 ms|2 ms|3 ms|4 ms|5 ms"},
		{"nothing", nil, "s", false, "0|0.2 s|0.4 s|0.6 s|0.8 s|1 s"},
		{"zero alone", []float64{0}, "1", false, "0|0.2|0.4|0.6|0.8|1"},
		{"below zero", []float64{-1, 1}, "1", false, "-1|-0.5|0|0.5|1"},
		{"bytes", []float64{3 << 20}, "B", false, "0|1 MiB|2 MiB|3 MiB"},
		{"decades", []float64{0.0001, 0.5}, "s", true, "100 µs|1 ms|10 ms|100 ms"},
		{"half a decade", []float64{3, 4}, "1", true, "2|5"},
		{"one value", []float64{1}, "1", true, "0.5|1|2"},
		{"no logarithm", []float64{-1, 0}, "1", true, "-1|-0.8|-0.6|-0.4|-0.2|0"},
		{"logarithmic bytes", []float64{1 << 10, 1 << 30}, "B", true, "4 KiB|64 KiB|1 MiB|16 MiB|256 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var labels []string
			for _, tick := range newScale(tt.values, tt.unit, tt.log).ticks(5) {
				labels = append(labels, tick.label)
			}
			if got := strings.Join(labels, "|"); got != tt.want {
				t.Errorf("ticks of %v = %s, want %s", tt.values, got, tt.want)
			}
		})
	}
}

// Whatever is drawn is on the paper, and there are few ticks.
func TestScaleOfAnyNumbers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pairs := [][]float64{
		{0, 1},
		{-math.MaxFloat64, math.MaxFloat64},
		{math.SmallestNonzeroFloat64, math.MaxFloat64},
		{math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64},
	}
	for len(pairs) < 2000 {
		a, b := math.Float64frombits(random.Uint64()), math.Float64frombits(random.Uint64())
		if !math.IsNaN(a) && !math.IsNaN(b) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
			pairs = append(pairs, []float64{a, b})
		}
	}
	for i, pair := range pairs {
		for _, unit := range []string{"s", "B", "1"} {
			checkScale(t, newScale(pair, unit, i%2 == 0).across(10, 20), append(pair, 0))
			checkScale(t, newScale(pair, unit, i%2 == 1).across(20, 10), append(pair, 0))
		}
	}
}

func checkScale(t *testing.T, s scale, values []float64) {
	t.Helper()
	for _, v := range values {
		if at := s.at(v); math.IsNaN(at) || at < 10 || at > 20 {
			t.Errorf("%+v.at(%v) = %v, want 10 to 20", s, v, at)
		}
	}
	if n := len(s.ticks(5)); n > 20 {
		t.Errorf("%+v has %d ticks, want few", s, n)
	}
}

func TestTightScale(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		places []float64
		log    bool
		at     []float64
	}{
		{"ends at the ends", []float64{1, 2, 5}, false, []float64{0, 25, 100}},
		{"logarithmic", []float64{1, 10, 100}, true, []float64{0, 50, 100}},
		{"one in the middle", []float64{3}, false, []float64{50}},
		{"one in the middle, logarithmic", []float64{2}, true, []float64{50}},
		{"one at zero", []float64{0}, false, []float64{50}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tight(tt.places, tt.log).across(0, 100)
			for i, x := range tt.places {
				if got := s.at(x); math.Abs(got-tt.at[i]) > 1e-9 {
					t.Errorf("tight(%v).at(%v) = %v, want %v", tt.places, x, got, tt.at[i])
				}
			}
		})
	}
}

func TestLooks(t *testing.T) {
	t.Parallel()
	targets := []result.Target{{Name: "floor", Floor: true}}
	for i := range 40 {
		targets = append(targets, result.Target{Name: strings.Repeat("x", i+1)})
	}
	looks := Looks(targets)
	if looks["floor"].ink != inkFloor || looks["x"].ink != inkTarget {
		t.Errorf("looks of floor and first = %+v, %+v, want grey and the first colour", looks["floor"], looks["x"])
	}
	seen := map[Look]string{}
	for name, look := range looks {
		if other, taken := seen[look]; taken {
			t.Errorf("%s looks like %s", name, other)
		}
		seen[look] = name
	}
}

func TestPanels(t *testing.T) {
	t.Parallel()
	series := func(target, variant, metric string) result.Series {
		return result.Series{
			Key:    result.Key{Target: target, Variant: variant, Metric: metric},
			Points: []result.Point{{Count: 1, ECDF: []float64{1}}},
		}
	}
	all := []result.Series{
		series("a", "warm", "latency"), series("a", "cold", "latency"), series("floor", "", "latency"), series("a", "", "memory"),
	}
	panels := Panels(result.Figure{Metric: "latency"}, all)
	if len(panels) != 2 || panels[0].Variant != "warm" || len(panels[1].Series) != 2 {
		t.Errorf("panels of two variants = %+v, want both with the floor", panels)
	}
	panels = Panels(result.Figure{Metric: "latency", Variant: "cold"}, all)
	if len(panels) != 1 || len(panels[0].Series) != 2 {
		t.Errorf("panels of one variant = %+v, want it with the floor", panels)
	}
	if panels := Panels(result.Figure{Metric: "none"}, all); panels != nil {
		t.Errorf("panels of nothing = %+v, want none", panels)
	}
}

func TestDashes(t *testing.T) {
	t.Parallel()
	line := []point{{0, 0}, {30, 0}, {30, 30}}
	got := dashed(line, []float64{10, 5}) // in pixels of the drawing
	if len(got) != 2 || got[0][1] != (point{20, 0}) || got[1][0] != (point{30, 0}) {
		t.Errorf("dashed() = %v, want 20 seen, 10 not, 20 seen from the corner", got)
	}
}
