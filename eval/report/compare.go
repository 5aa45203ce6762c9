package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"path/filepath"
	"slices"

	"golang.org/x/perf/benchmath"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

// ComparisonPage is the name of a comparison's page in its directory.
const ComparisonPage = "comparison.html"

// significance is how likely a difference that is seen may be chance.
const significance = 0.05

// Verdict is what two runs say of one quantity.
type Verdict string

// The verdicts, of the second run against the first. Of what is no time and no
// rate it says whether there is more or less.
const (
	Faster       Verdict = "faster"
	Slower       Verdict = "slower"
	More         Verdict = "more"
	Less         Verdict = "less"
	NoDifference Verdict = "no difference seen"
	TooFew       Verdict = "too few rounds to tell"
	Failing      Verdict = "nothing succeeded"
)

// Comparison is two runs side by side.
type Comparison struct {
	A        result.Run `json:"-"`
	B        result.Run `json:"-"`
	Warnings []string   `json:"warnings"` // why the runs differ in more than what was measured
	Changes  []Change   `json:"changes"`
	Missing  []Missing  `json:"missing"`
}

// Change is one quantity under one condition in both runs. Medians are of all
// samples; P is that of the Mann-Whitney U-test over the medians of the rounds.
type Change struct {
	Experiment string `json:"experiment"`
	result.Key
	Axis    string  `json:"axis,omitempty"`
	X       float64 `json:"x"`
	A       float64 `json:"a"`
	B       float64 `json:"b"`
	Ratio   float64 `json:"ratio"` // B to A; 0 where there is none
	P       float64 `json:"p"`     // 1 where it was not tested
	RoundsA int     `json:"rounds_a"`
	RoundsB int     `json:"rounds_b"`
	Verdict Verdict `json:"verdict"`
}

// Missing is a series that only one of the runs has.
type Missing struct {
	Experiment string `json:"experiment"`
	result.Key
	From string `json:"from"` // "a" or "b"
}

// Compare puts b beside a, which came first. What it finds for one quantity is
// wrong about once in twenty times where there is no difference: among many
// quantities some will seem to have changed.
func Compare(a, b result.Run) Comparison {
	c := Comparison{A: a, B: b, Warnings: warnings(a, b), Changes: []Change{}, Missing: []Missing{}}
	for _, section := range a.Sections {
		for _, s := range section.Series {
			if other, found := counterpart(b, section.Name, s.Key); found {
				c.Changes = append(c.Changes, changes(section.Name, s, other)...)
			} else {
				c.Missing = append(c.Missing, Missing{section.Name, s.Key, "b"})
			}
		}
	}
	for _, section := range b.Sections {
		for _, s := range section.Series {
			if _, found := counterpart(a, section.Name, s.Key); !found {
				c.Missing = append(c.Missing, Missing{section.Name, s.Key, "a"})
			}
		}
	}
	return c
}

// counterpart finds the series of a key in a run's experiment.
func counterpart(run result.Run, section string, key result.Key) (result.Series, bool) {
	for _, other := range run.Sections {
		if other.Name != section {
			continue
		}
		for _, s := range other.Series {
			if s.Key == key {
				return s, true
			}
		}
	}
	return result.Series{}, false
}

// changes compares the points that both series have.
func changes(experiment string, a, b result.Series) []Change {
	var all []Change
	for _, p := range a.Points {
		i := slices.IndexFunc(b.Points, func(q result.Point) bool { return q.X == p.X })
		if i < 0 {
			continue
		}
		q := b.Points[i]
		change := Change{
			Experiment: experiment, Key: a.Key, Axis: a.Axis, X: p.X,
			A: p.Quantiles.P50, B: q.Quantiles.P50, RoundsA: len(p.Rounds), RoundsB: len(q.Rounds), P: 1,
		}
		if p.Count > 0 && q.Count > 0 && change.A != 0 {
			change.Ratio = change.B / change.A
		}
		change.judge(p, q)
		all = append(all, change)
	}
	return all
}

// judge tests the medians of the rounds of two points. It assumes nothing of how
// they are distributed.
func (c *Change) judge(a, b result.Point) {
	if a.Count == 0 || b.Count == 0 {
		c.Verdict = Failing
		return
	}
	if !tellable(len(a.Rounds), len(b.Rounds)) {
		c.Verdict = TooFew
		return
	}
	thresholds := &benchmath.Thresholds{CompareAlpha: significance}
	first, second := benchmath.NewSample(slices.Clone(a.Rounds), thresholds), benchmath.NewSample(slices.Clone(b.Rounds), thresholds)
	c.P = benchmath.AssumeNothing.Compare(first, second).P
	c.Verdict = NoDifference
	if c.P < significance && c.A != c.B {
		c.Verdict = direction(c.Unit, c.B > c.A)
	}
}

// tellable tells whether the test can come to a verdict at all: whether rounds
// that do not overlap are rarer by chance than its significance.
func tellable(a, b int) bool {
	if min(a, b) == 0 {
		return false
	}
	arrangements := 1.0 // of the rounds of both sides in one order
	for i := range min(a, b) {
		arrangements *= float64(a+b-i) / float64(i+1)
	}
	return 2/arrangements < significance
}

func direction(unit string, greater bool) Verdict {
	switch {
	case unit == "s" && greater, unit == "1/s" && !greater:
		return Slower
	case unit == "s", unit == "1/s":
		return Faster
	case greater:
		return More
	}
	return Less
}

// warnings say what makes two runs hard to compare.
func warnings(a, b result.Run) []string {
	var all []string
	warn := func(differ bool, text string) {
		if differ {
			all = append(all, text)
		}
	}
	one, other := a.Machine, b.Machine
	one.Load, other.Load = 0, 0
	warn(one != other, "The machines differ.")
	warn(a.Seed != b.Seed, "The seeds differ: requests came in another order.")
	warn(a.Quick != b.Quick, "One run is quick, the other is not.")
	warn(a.Quick && b.Quick, "Both runs are quick: few rounds on few samples.")
	warn(a.Partial || b.Partial, "A run is partial: it was ended before its time.")
	warn(saturated(a) || saturated(b), "In places the load generator was the bottleneck; its figures say nothing of the target.")
	return all
}

func saturated(run result.Run) bool {
	for _, section := range run.Sections {
		for _, s := range section.Series {
			if slices.ContainsFunc(s.Points, func(p result.Point) bool { return p.Saturated }) {
				return true
			}
		}
	}
	return false
}

// Tally counts verdicts, in the order in which they are declared.
func (c Comparison) Tally() []Count {
	var all []Count
	for _, v := range []Verdict{Faster, Slower, Less, More, NoDifference, TooFew, Failing} {
		n := 0
		for _, change := range c.Changes {
			if change.Verdict == v {
				n++
			}
		}
		if n > 0 {
			all = append(all, Count{v, n})
		}
	}
	return all
}

// Count is how often a verdict was found.
type Count struct {
	Verdict Verdict
	N       int
}

// Words of a change, as tables have them.

// Condition is the variant and the place on the axis.
func (c Change) Condition() string {
	return condition(c.Variant, result.Series{Axis: c.Axis, Points: []result.Point{{X: c.X}}})
}

// Before is the median of the first run.
func (c Change) Before() string { return c.median(c.A, c.RoundsA) }

// After is the median of the second run.
func (c Change) After() string { return c.median(c.B, c.RoundsB) }

func (c Change) median(v float64, rounds int) string {
	if rounds == 0 {
		return "–"
	}
	return plot.Label(v, c.Unit)
}

// Times is the ratio of the second run to the first.
func (c Change) Times() string {
	if c.Ratio == 0 {
		return "–"
	}
	return times(c.Ratio)
}

// Chance is P in words.
func (c Change) Chance() string {
	switch {
	case c.Verdict == TooFew || c.Verdict == Failing:
		return "–"
	case c.P < 0.001:
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", c.P)
}

// Clear tells whether there is a difference.
func (c Change) Clear() bool {
	return slices.Contains([]Verdict{Faster, Slower, More, Less}, c.Verdict)
}

//go:embed comparison.html
var comparisonSource string

// comparisonPage is what comparison.html shows.
type comparisonPage struct {
	frame
	Comparison
	Groups []group // the first of which is what has changed, if something has
}

// group is the changes of one experiment, or those of all that are clear.
type group struct {
	Experiment, Title string
	Several           bool // experiments
	Changes           []Change
}

// HTML writes the comparison as a page that needs nothing beside it.
func (c Comparison) HTML(w io.Writer) error {
	return render(w, comparisonSource, &comparisonPage{frame: frame{Title: "Comparison"}, Comparison: c, Groups: c.groups()})
}

func (c Comparison) groups() []group {
	var all []group
	if differences := c.differences(); len(differences) > 0 {
		all = append(all, group{Experiment: "changed", Title: "What changed", Several: true, Changes: differences})
	}
	for _, section := range c.A.Sections {
		g := group{Experiment: section.Name, Title: section.Title}
		for _, change := range c.Changes {
			if change.Experiment == section.Name {
				g.Changes = append(g.Changes, change)
			}
		}
		if len(g.Changes) > 0 {
			all = append(all, g)
		}
	}
	return all
}

// differences are the changes that are clear, the greatest first.
func (c Comparison) differences() []Change {
	clearly := slices.DeleteFunc(slices.Clone(c.Changes), func(ch Change) bool { return !ch.Clear() })
	slices.SortStableFunc(clearly, func(a, b Change) int { return cmp.Compare(math.Abs(b.doublings()), math.Abs(a.doublings())) })
	return clearly
}

// doublings are how often a quantity became twice as great.
func (c Change) doublings() float64 {
	if c.Ratio <= 0 {
		return 0
	}
	return math.Log2(c.Ratio)
}

// Mark draws the ratio: to the right of the middle what is greater in B. The ends
// stand for four times and a quarter.
func (c Change) Mark() template.HTML {
	const half, doublings = 46.0, 2.0
	at := 50 + half*max(-1, min(1, c.doublings()/doublings))
	return template.HTML(fmt.Sprintf( //nolint:gosec // numbers alone
		`<svg class="mark" viewBox="0 0 100 14" aria-hidden="true"><path d="M50 1V13" stroke="currentColor" opacity=".35"/>`+
			`<path d="M50 7H%.1f" stroke="currentColor" stroke-width="3"/><circle cx="%.1f" cy="7" r="3" fill="currentColor"/></svg>`, at, at))
}

// Write makes the page of the comparison in dir.
func (c Comparison) Write(dir string) error {
	if err := writePage(filepath.Join(dir, ComparisonPage), c.HTML); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}
