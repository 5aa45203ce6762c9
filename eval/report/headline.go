package report

import (
	"cmp"
	"math"
	"slices"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

// headline is the answer to a section's question under one condition: the best
// target that is no reference, beside the references and the floor.
type headline struct {
	Section, Title string // name and title of the section; the title once
	Metric         string
	Condition      string
	Best           standing
	References     []standing
	Floor          string
}

// standing is a target's median, and how many times the best's it is.
type standing struct {
	Target, Class, Median, Rounds, Times string
}

// headlines are one or more a section: what its figures show of the metric of the
// first, each condition once, where the axis ends.
func headlines(run result.Run) []headline {
	var all []headline
	for _, section := range run.Sections {
		title := section.Title
		for _, panel := range plot.LastPoints(principal(section)) {
			h, found := headlineOf(run, panel)
			if !found {
				continue
			}
			h.Section, h.Title = section.Name, title
			title = ""
			all = append(all, h)
		}
	}
	return all
}

func principal(section result.Section) []plot.Panel {
	var panels []plot.Panel
	seen := map[string]bool{}
	for _, f := range section.Figures {
		if f.Metric != section.Figures[0].Metric {
			continue
		}
		for _, panel := range plot.Panels(f, section.Series) {
			if !seen[panel.Variant] {
				panels = append(panels, panel)
			}
			seen[panel.Variant] = true
		}
	}
	return panels
}

// lowerIsBetter and higherIsBetter tell the direction of a unit. Where there is
// none, as with plain numbers, nothing is best.
func lowerIsBetter(unit string) bool  { return unit == "s" || unit == "B" }
func higherIsBetter(unit string) bool { return unit == "1/s" }

func headlineOf(run result.Run, panel plot.Panel) (headline, bool) {
	ranked := contenders(run, panel)
	if len(ranked) == 0 {
		return headline{}, false
	}
	best := ranked[0]
	h := headline{Metric: best.Metric, Condition: condition(panel.Variant, best), Best: stand(run, best, best)}
	for _, s := range panel.Series {
		switch {
		case isFloor(run, s.Target):
			h.Floor = plot.Label(s.Points[0].Quantiles.P50, s.Unit)
		case slices.Contains(references(run), s.Target) && s.Points[0].X == best.Points[0].X:
			h.References = append(h.References, stand(run, s, best))
		}
	}
	return h, true
}

// contenders are the series at the greatest place of the axis, the best first.
// References are none, and neither is what has no direction.
func contenders(run result.Run, panel plot.Panel) []result.Series {
	none := references(run)
	ranked := slices.DeleteFunc(slices.Clone(panel.Series), func(s result.Series) bool {
		return isFloor(run, s.Target) || slices.Contains(none, s.Target) || !lowerIsBetter(s.Unit) && !higherIsBetter(s.Unit)
	})
	far := math.Inf(-1)
	for _, s := range ranked {
		far = max(far, s.Points[0].X)
	}
	ranked = slices.DeleteFunc(ranked, func(s result.Series) bool { return s.Points[0].X != far })
	slices.SortStableFunc(ranked, func(a, b result.Series) int {
		if higherIsBetter(a.Unit) {
			a, b = b, a
		}
		return cmp.Compare(a.Points[0].Quantiles.P50, b.Points[0].Quantiles.P50)
	})
	return ranked
}

func condition(variant string, s result.Series) string {
	if s.Axis == "" {
		return variant
	}
	place := rowOf(s, s.Points[0]).X + " " + s.Axis
	if variant == "" {
		return place
	}
	return variant + ", " + place
}

func stand(run result.Run, s, best result.Series) standing {
	r := rowOf(s, s.Points[0])
	in := standing{Target: s.Target, Class: plot.Looks(run.Targets)[s.Target].Class(), Median: r.Median, Rounds: r.Rounds}
	if of := best.Points[0].Quantiles.P50; of != 0 && s.Target != best.Target {
		in.Times = times(s.Points[0].Quantiles.P50 / of)
	}
	return in
}
