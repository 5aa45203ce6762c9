package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

// table is what a section measured of one metric.
type table struct {
	Metric     string
	Axis       string // empty: there is none
	References []string
	Variants   bool // rows have them
	Rows       []row
	Brief      []row // the ends of a long axis; empty if Rows is short
}

// Short is the table of the brief rows.
func (t table) Short() table {
	t.Rows = t.Brief
	return t
}

// row is one point of one series, in words.
type row struct {
	Target, Class, Variant, X       string
	Floor, Saturated                bool
	Median, Quartiles, Tail, Rounds string
	Count, Failed                   int
	Ratios                          []ratio

	variant, place int // for the order
	x              float64
}

// ratio of a row's median to that of a reference, and what the rounds allow.
type ratio struct{ Value, Range string }

// tables are those of a section, one a metric, in the order of its series.
func tables(run result.Run, section result.Section) []table {
	var all []table
	for _, s := range section.Series {
		if !slices.ContainsFunc(all, func(t table) bool { return t.Metric == s.Metric }) {
			all = append(all, tableOf(run, section, s.Metric))
		}
	}
	return all
}

func tableOf(run result.Run, section result.Section, metric string) table {
	t := table{Metric: metric, References: references(run)}
	var variants []string
	for _, s := range section.Series {
		if s.Metric != metric {
			continue
		}
		t.Axis = cmp.Or(t.Axis, s.Axis)
		t.Variants = t.Variants || s.Variant != ""
		if !slices.Contains(variants, s.Variant) {
			variants = append(variants, s.Variant)
		}
		for _, p := range s.Points {
			r := rowIn(run, section, s, p)
			if r.variant = slices.Index(variants, s.Variant); s.Variant == "" {
				r.variant = len(section.Series) // below those that it is there to be compared with
			}
			t.Rows = append(t.Rows, r)
		}
	}
	t.sort()
	t.Brief = ends(t.Rows)
	return t
}

// sort puts together what is compared: targets at one place of the axis.
func (t *table) sort() {
	slices.SortStableFunc(t.Rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.variant, b.variant), cmp.Compare(a.x, b.x), cmp.Compare(a.place, b.place))
	})
}

// ends are the rows at the ends of the axis: none of them if all are few.
func ends(rows []row) []row {
	var places []float64
	for _, r := range rows {
		places = append(places, r.x)
	}
	slices.Sort(places)
	places = slices.Compact(places)
	if len(places) <= 3 || len(rows) <= 12 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.x != places[0] && r.x != places[len(places)-1] })
}

// rowIn is the row of a point among those of its section.
func rowIn(run result.Run, section result.Section, s result.Series, p result.Point) row {
	r := rowOf(s, p)
	r.Class = plot.Looks(run.Targets)[s.Target].Class()
	r.Floor = isFloor(run, s.Target)
	r.place = slices.IndexFunc(run.Targets, func(of result.Target) bool { return of.Name == s.Target })
	for _, name := range references(run) {
		r.Ratios = append(r.Ratios, against(section, s, p, name))
	}
	return r
}

func rowOf(s result.Series, p result.Point) row {
	r := row{
		Target: s.Target, Variant: s.Variant, X: strconv.FormatFloat(p.X, 'g', 6, 64), x: p.X,
		Count: p.Count, Failed: p.Failed, Saturated: p.Saturated,
		Median: "–", Quartiles: "–", Tail: "–", Rounds: "–",
	}
	if p.Count == 0 {
		return r
	}
	r.Median = plot.Label(p.Quantiles.P50, s.Unit)
	r.Quartiles = plot.Range(p.Quantiles.P25, p.Quantiles.P75, s.Unit)
	r.Tail = plot.Label(p.Quantiles.P99, s.Unit)
	if len(p.Rounds) > 0 {
		r.Rounds = fmt.Sprintf("%s (%d)", plot.Range(slices.Min(p.Rounds), slices.Max(p.Rounds), s.Unit), len(p.Rounds))
	}
	return r
}

// references are the targets that others are compared with.
func references(run result.Run) []string {
	var names []string
	for _, t := range run.Targets {
		if t.Reference && t.Unavailable == "" {
			names = append(names, t.Name)
		}
	}
	return names
}

func isFloor(run result.Run, name string) bool {
	return slices.ContainsFunc(run.Targets, func(t result.Target) bool { return t.Name == name && t.Floor })
}

// against compares a point with that of a reference under the same conditions, or
// under none where the reference knows none.
func against(section result.Section, s result.Series, p result.Point, reference string) ratio {
	of, found := find(section, result.Key{Target: reference, Variant: s.Variant, Metric: s.Metric, Unit: s.Unit}, p.X)
	if !found {
		of, found = find(section, result.Key{Target: reference, Metric: s.Metric, Unit: s.Unit}, p.X)
	}
	if !found || of.Quantiles.P50 == 0 || p.Count == 0 {
		return ratio{Value: "–"}
	}
	if s.Target == reference {
		return ratio{Value: "1"}
	}
	r := ratio{Value: times(p.Quantiles.P50 / of.Quantiles.P50)}
	if len(p.Rounds) > 1 && len(of.Rounds) > 1 && slices.Min(of.Rounds) > 0 {
		r.Range = times(slices.Min(p.Rounds)/slices.Max(of.Rounds)) + "–" + times(slices.Max(p.Rounds)/slices.Min(of.Rounds))
	}
	return r
}

// find is the point of a series at a place, if something succeeded there.
func find(section result.Section, key result.Key, x float64) (result.Point, bool) {
	for _, s := range section.Series {
		if s.Key != key {
			continue
		}
		for _, p := range s.Points {
			if p.X == x && p.Count > 0 {
				return p, true
			}
		}
	}
	return result.Point{}, false
}

// times writes a ratio with two digits that count, or all of an integer.
func times(r float64) string {
	switch size := math.Abs(r); {
	case size >= 1e6 || size < 1e-4:
		return strconv.FormatFloat(r, 'g', 2, 64)
	case size >= 99.5:
		return strconv.FormatFloat(r, 'f', 0, 64)
	case size >= 9.95:
		return strconv.FormatFloat(r, 'f', 1, 64)
	case size >= 0.0995:
		return strconv.FormatFloat(r, 'f', 2, 64)
	default:
		return strconv.FormatFloat(r, 'f', 1-int(math.Floor(math.Log10(size))), 64)
	}
}
