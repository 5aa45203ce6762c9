package plot

import (
	"slices"

	"wasmwhisk/eval/result"
)

// courses are the axes of a figure of lines: medians over X, with a band between
// the quartiles where there are few lines.
func (p *Plotter) courses(f result.Figure, panels []Panel) axes {
	a := axes{
		y:     heights(f, panels),
		yName: f.Metric,
		xName: panels[0].Series[0].Axis,
		curves: func(d *Drawing, panel Panel, x, y scale) {
			if len(panel.Series) <= 8 {
				for _, s := range panel.Series {
					band(d, p.looks[s.Target], s.Points, x, y)
				}
			}
			for _, s := range panel.Series {
				course(d, p.looks[s.Target], s.Points, x, y)
			}
		},
	}
	at := places(panels)
	a.x = tight(at, f.LogX)
	if len(at) <= 10 {
		a.xTicks = []tick{}
		for _, x := range at {
			a.xTicks = append(a.xTicks, tick{x, count(x)})
		}
	}
	return a
}

// heights are the scale that all panels share, or one of its own for a panel that
// would lie at the bottom of a linear one.
func heights(f result.Figure, panels []Panel) func(Panel) scale {
	quartiles := func(at result.Point) []float64 {
		return []float64{at.Quantiles.P25, at.Quantiles.P50, at.Quantiles.P75}
	}
	shared := newScale(values(panels, quartiles), unit(panels), f.Log)
	return func(panel Panel) scale {
		own := newScale(values([]Panel{panel}, quartiles), unit(panels), f.Log)
		if !f.Log && own.hi < shared.hi/4 {
			return own
		}
		return shared
	}
}

// measured cuts points into runs without a gap.
func measured(points []result.Point) [][]result.Point {
	var runs [][]result.Point
	gap := true
	for _, at := range points {
		if at.Count == 0 {
			gap = true
			continue
		}
		if gap {
			runs = append(runs, nil)
		}
		gap = false
		runs[len(runs)-1] = append(runs[len(runs)-1], at)
	}
	return runs
}

func band(d *Drawing, look Look, points []result.Point, x, y scale) {
	for _, run := range measured(points) {
		if len(run) < 2 {
			continue
		}
		var upper, lower []point
		for _, at := range run {
			upper = append(upper, point{x.at(at.X), y.at(at.Quantiles.P75)})
			lower = append(lower, point{x.at(at.X), y.at(at.Quantiles.P25)})
		}
		slices.Reverse(lower)
		d.add(shape{ink: look.ink, closed: true, opacity: 0.12, points: append(upper, lower...)})
	}
}

func course(d *Drawing, look Look, points []result.Point, x, y scale) {
	for _, run := range measured(points) {
		var line []point
		for _, at := range run {
			line = append(line, point{x.at(at.X), y.at(at.Quantiles.P50)})
		}
		if len(line) > 1 {
			d.add(shape{ink: look.ink, width: 1.8, dash: look.dashes(), points: line})
		}
		markers(d, look, run, line)
	}
}

// markers are left out where they would hide the line.
func markers(d *Drawing, look Look, run []result.Point, at []point) {
	every := 1 + len(run)/24
	for i, p := range run {
		if p.Saturated || i%every == 0 {
			d.mark(look, at[i], p)
		}
	}
}

// shares are the axes of distribution functions: for each series that of its last
// point, with markers at the median, the ninth decile and the 99th percentile.
func (p *Plotter) shares(f result.Figure, panels []Panel) axes {
	ends := func(at result.Point) []float64 {
		if len(at.ECDF) == 0 {
			return nil
		}
		return []float64{at.ECDF[0], at.ECDF[len(at.ECDF)-1]}
	}
	var yTicks []tick
	for _, percent := range []float64{0, 25, 50, 75, 100} {
		yTicks = append(yTicks, tick{percent / 100, count(percent) + " %"})
	}
	return axes{
		x: newScale(values(LastPoints(panels), ends), unit(panels), f.Log), xName: f.Metric,
		y: func(Panel) scale { return scale{hi: 1} }, yName: "share of the samples at or below", yTicks: yTicks,
		curves: func(d *Drawing, panel Panel, x, y scale) {
			for _, s := range LastPoints([]Panel{panel})[0].Series {
				distribution(d, p.looks[s.Target], s.Points[0], x, y)
			}
		},
	}
}

// LastPoints reduces each series to the last of its points that has a success: a
// distribution is drawn of that alone.
func LastPoints(panels []Panel) []Panel {
	reduced := make([]Panel, len(panels))
	for i, panel := range panels {
		reduced[i].Variant = panel.Variant
		for _, s := range panel.Series {
			for _, at := range slices.Backward(s.Points) {
				if at.Count > 0 && len(at.ECDF) > 0 {
					s.Points = []result.Point{at}
					reduced[i].Series = append(reduced[i].Series, s)
					break
				}
			}
		}
	}
	return reduced
}

func distribution(d *Drawing, look Look, of result.Point, x, y scale) {
	last := len(of.ECDF) - 1
	curve := []point{{x.at(of.ECDF[0]), y.at(0)}}
	for i, v := range of.ECDF {
		curve = append(curve, point{x.at(v), y.at(float64(i) / float64(max(last, 1)))})
	}
	curve = append(curve, point{x.at(of.ECDF[last]), y.at(1)})
	d.add(shape{ink: look.ink, width: 1.8, dash: look.dashes(), points: curve})
	for _, share := range []float64{0.5, 0.9, 0.99} {
		i := int(share*float64(last) + 0.5)
		d.mark(look, point{x.at(of.ECDF[i]), y.at(float64(i) / float64(max(last, 1)))}, of)
	}
}
