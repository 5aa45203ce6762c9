package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"wasmwhisk/eval/result"
)

// measured is a run of one quantity, whose rounds had these medians.
func measured(unit string, rounds ...float64) result.Run {
	p := result.Point{Rounds: rounds, Count: 10 * len(rounds)}
	if len(rounds) > 0 {
		p.Quantiles.P50 = slices.Sorted(slices.Values(rounds))[len(rounds)/2]
	}
	s := result.Series{Key: result.Key{Target: "wazero", Metric: "quantity", Unit: unit}, Points: []result.Point{p}}
	return result.Run{Sections: []result.Section{{Name: "burst", Series: []result.Series{s}}}}
}

func TestCompareJudges(t *testing.T) {
	t.Parallel()
	low, high := []float64{1, 1.1, 1.2, 1.3, 1.4}, []float64{2, 2.1, 2.2, 2.3, 2.4}
	for _, tt := range []struct {
		name string
		unit string
		a, b []float64
		want Verdict
	}{
		{"more time", "s", low, high, Slower},
		{"less time", "s", high, low, Faster},
		{"a higher rate", "1/s", low, high, Faster},
		{"a lower rate", "1/s", high, low, Slower},
		{"more memory", "B", low, high, More},
		{"a lower number", "1", high, low, Less},
		{"the same", "s", low, low, NoDifference},
		{"all equal", "s", []float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1}, NoDifference},
		{"apart but few", "s", low[:3], high[:3], TooFew},
		{"four of each", "s", low[:4], high[:4], Slower},
		{"two against many", "s", low[:2], []float64{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, Slower},
		{"no rounds", "s", low, nil, Failing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Compare(measured(tt.unit, tt.a...), measured(tt.unit, tt.b...))
			if len(c.Changes) != 1 || c.Changes[0].Verdict != tt.want {
				t.Errorf("Compare(%v, %v) = %+v, want %q", tt.a, tt.b, c.Changes, tt.want)
			}
			if p := c.Changes[0].P; !(p >= 0 && p <= 1) || math.IsInf(c.Changes[0].Ratio, 0) {
				t.Errorf("Compare(%v, %v) = p %v, ratio %v, want numbers", tt.a, tt.b, p, c.Changes[0].Ratio)
			}
		})
	}
}

func TestComparison(t *testing.T) {
	t.Parallel()
	slower := ordinary(t, 1.5)
	slower.Version, slower.Seed, slower.Sections = "v0.10.0", 43, slower.Sections[:1]
	c := Compare(ordinary(t, 1), slower)
	if len(c.Missing) == 0 || c.Missing[0].From != "b" {
		t.Errorf("Compare() misses %+v, want what the second run did not measure", c.Missing)
	}
	for _, change := range c.Changes {
		want := NoDifference
		if change.Target == "wazero" {
			want = Slower
		}
		if change.Verdict != want {
			t.Errorf("Compare() of %+v, want %q", change, want)
		}
	}
	var page, text strings.Builder
	if err := c.HTML(&page); err != nil {
		t.Fatalf("HTML() = %v, want nil", err)
	}
	if err := c.Text(&text); err != nil {
		t.Fatalf("Text() = %v, want nil", err)
	}
	golden(t, "comparison.html", withoutDrawings(page.String()))
	golden(t, "comparison.txt", text.String())
}

func TestComparisonOfStrangeRuns(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]result.Run{
		"extremes": {extreme(t), extreme(t)},
		"nothing":  {{}, {}},
		"strange":  {extreme(t), ordinary(t, 1)},
	} {
		var page strings.Builder
		if err := Compare(pair[0], pair[1]).HTML(&page); err != nil {
			t.Errorf("%s: HTML() = %v, want nil", name, err)
		}
		for _, never := range []string{"<script", "NaN", "Inf", "<here>"} {
			if strings.Contains(page.String(), never) {
				t.Errorf("%s: page has %q", name, never)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	golden(t, "ordinary.md", Markdown(ordinary(t, 1)))
	if text := Markdown(extreme(t)); strings.Contains(text, "<script") || !strings.Contains(text, "**Partial") {
		t.Error("Markdown(extreme) has a tag, or does not say that it is partial")
	}
}
