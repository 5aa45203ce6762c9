package plot

import (
	"fmt"
	"slices"

	"wasmwhisk/eval/result"
)

// bar is a line of a figure of bars: one point of a series.
type bar struct {
	look  Look
	name  string
	value string
	at    result.Point
}

const barHeight = 22.0

// bars draws a bar for each point, from left to right, variants below each other:
// names of targets are long. On a logarithmic axis, where a length means nothing,
// a marker stands in its place.
func (p *Plotter) bars(d *Drawing, f result.Figure, panels []Panel) {
	left, right := p.margins(panels)
	x := newScale(values(panels, spread), unit(panels), f.Log).across(min(left, d.Width*0.4)+10, d.Width-right-14)
	top := d.Height + 4
	rules := len(d.shapes)
	y := top
	for _, panel := range panels {
		if panel.Variant != "" {
			d.heading(point{0, y + 18}, normal, p.fonts.cut(panel.Variant, normal*1.1, d.Width))
			y += 26
		}
		for _, b := range p.barsOf(panel) {
			p.bar(d, b, x, y)
			y += barHeight
		}
		y += 6
	}
	ticks := x.ticksAcross()
	d.shapes = slices.Insert(d.shapes, rules, ruled(ticks, x, top, y)...)
	p.below(d, ticks, x, y)
	d.text(inkMuted, point{(x.from + x.to) / 2, y + 34}, middle, small, f.Metric)
	d.Height = y + 44
}

// margins are the room that the longest name and the longest value take.
func (p *Plotter) margins(panels []Panel) (names, figures float64) {
	for _, panel := range panels {
		for _, b := range p.barsOf(panel) {
			names = max(names, p.fonts.width(b.name, normal))
			figures = max(figures, p.fonts.width(b.value, small))
		}
	}
	return names, figures
}

// ruled are lines behind the bars, at the ticks.
func ruled(ticks []tick, x scale, top, bottom float64) []shape {
	var all []shape
	for _, t := range ticks {
		at := x.at(t.value)
		all = append(all, shape{ink: inkGrid, width: 1, points: []point{{at, top}, {at, bottom}}})
	}
	return all
}

// spread is what a bar shows: the median, and the range of the rounds.
func spread(at result.Point) []float64 {
	return append([]float64{at.Quantiles.P50}, at.Rounds...)
}

func (p *Plotter) barsOf(panel Panel) []bar {
	var all []bar
	for _, s := range panel.Series {
		for _, at := range s.Points {
			b := bar{look: p.looks[s.Target], name: s.Target, at: at, value: barValue(at, s.Unit)}
			if len(s.Points) > 1 {
				b.name += " · " + count(at.X)
			}
			all = append(all, b)
		}
	}
	return all
}

func barValue(at result.Point, unit string) string {
	if at.Count == 0 {
		return fmt.Sprintf("no success, %d failed", at.Failed)
	}
	text := Label(at.Quantiles.P50, unit)
	if at.Failed > 0 {
		text += fmt.Sprintf(", %d failed", at.Failed)
	}
	if at.Saturated {
		text += ", generator-bound"
	}
	return text
}

func (p *Plotter) bar(d *Drawing, b bar, x scale, y float64) {
	d.add(shape{
		ink: inkText, points: []point{{x.from - 8, y + 15}}, anchor: end, size: normal,
		words: p.fonts.cut(b.name, normal, x.from-10), whole: b.name,
	})
	centre, right := y+barHeight/2, x.from
	if b.at.Count > 0 {
		right = drawBar(d, b, x, centre)
	}
	d.text(inkMuted, point{right + 7, y + 15}, start, small, b.value)
}

// drawBar draws the median with the range of the rounds, and tells where it ends.
func drawBar(d *Drawing, b bar, x scale, centre float64) float64 {
	at := x.at(b.at.Quantiles.P50)
	if x.log {
		d.line(b.look.ink, 1, point{x.from, centre}, point{at, centre})
		d.shapes[len(d.shapes)-1].opacity = 0.45
	} else {
		d.box(b.look.ink, x.at(0), centre-6.5, at, centre+6.5)
	}
	right := at
	if len(b.at.Rounds) > 1 {
		low, high := x.at(slices.Min(b.at.Rounds)), x.at(slices.Max(b.at.Rounds))
		whisker(d, b.look, x.log, low, high, centre)
		right = max(right, high)
	}
	if x.log {
		d.mark(b.look, point{at, centre}, b.at)
	}
	return right
}

// whisker is the range of the rounds.
func whisker(d *Drawing, look Look, log bool, low, high, centre float64) {
	of := inkText
	if log {
		of = look.ink
	}
	d.line(of, 1.3, point{low, centre}, point{high, centre})
	d.line(of, 1.3, point{low, centre - 3.5}, point{low, centre + 3.5})
	d.line(of, 1.3, point{high, centre - 3.5}, point{high, centre + 3.5})
}
