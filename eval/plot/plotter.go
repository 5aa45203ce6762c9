package plot

import (
	"math"
	"slices"

	"wasmwhisk/eval/result"
)

// Widths of drawings: for a page or a file, and for a telephone.
const (
	Wide   = 880.0
	Narrow = 380.0
)

// Plotter draws the figures of one run. It is for one goroutine.
type Plotter struct {
	looks map[string]Look
	fonts *letters
}

// New makes a plotter for the targets of a run.
func New(targets []result.Target) (*Plotter, error) {
	fonts, err := newLetters()
	if err != nil {
		return nil, err
	}
	return &Plotter{looks: Looks(targets), fonts: fonts}, nil
}

// Draw draws a figure of a section to a width. It has no title: a page sets that
// as text.
func (p *Plotter) Draw(f result.Figure, series []result.Series, width float64) *Drawing {
	d := &Drawing{Width: width}
	p.draw(d, f, series)
	return d
}

// DrawFile draws a figure as a file of its own: wide, titled, with a margin.
func (p *Plotter) DrawFile(f result.Figure, series []result.Series) *Drawing {
	const margin = 16
	d := &Drawing{Width: Wide}
	d.heading(point{0, 16}, large, p.fonts.cut(f.Title, large*1.1, Wide))
	d.Height = 30
	p.draw(d, f, series)
	for _, s := range d.shapes {
		for i := range s.points {
			s.points[i].x += margin
			s.points[i].y += margin
		}
	}
	d.Width += 2 * margin
	d.Height += 2 * margin
	return d
}

// draw adds a figure below what is there.
func (p *Plotter) draw(d *Drawing, f result.Figure, series []result.Series) {
	panels := p.inSight(f, Panels(f, series))
	if f.Variant != "" { // which its title says
		for i := range panels {
			panels[i].Variant = ""
		}
	}
	switch {
	case len(panels) == 0:
		d.text(inkMuted, point{0, d.Height + 20}, start, normal, "Nothing was measured.")
		d.Height += 30
	case f.Kind == result.Bars:
		p.bars(d, f, panels)
	case f.Kind == result.ECDF:
		p.legend(d, panels)
		p.grid(d, panels, p.shares(f, panels))
	default:
		p.legend(d, panels)
		p.grid(d, panels, p.courses(f, panels))
	}
}

// inSight leaves floors out that would make a linear axis so long that nothing is
// seen of what was measured.
func (p *Plotter) inSight(f result.Figure, panels []Panel) []Panel {
	isFloor := func(s result.Series) bool { return p.looks[s.Target].ink == inkFloor }
	greatest := 0.0
	for _, panel := range panels {
		for _, s := range panel.Series {
			if !isFloor(s) {
				greatest = max(greatest, most(s))
			}
		}
	}
	if f.Log || greatest == 0 {
		return panels
	}
	for i := range panels {
		panels[i].Series = slices.DeleteFunc(panels[i].Series, func(s result.Series) bool {
			return isFloor(s) && most(s) > 1.5*greatest
		})
	}
	return slices.DeleteFunc(panels, func(of Panel) bool { return len(of.Series) == 0 })
}

// most is the greatest median of a series.
func most(s result.Series) float64 {
	greatest := 0.0
	for _, at := range s.Points {
		greatest = max(greatest, at.Quantiles.P50)
	}
	return greatest
}

// Panel is what a figure shows of one variant.
type Panel struct {
	Variant string
	Series  []result.Series
}

// Panels finds what a figure shows: the series of its metric, by variant. A floor
// or reference without a variant is in every panel, if there are others.
func Panels(f result.Figure, series []result.Series) []Panel {
	var all, everywhere []result.Series
	var variants []string
	for _, s := range series {
		switch {
		case s.Metric != f.Metric || len(s.Points) == 0:
		case s.Variant == "" && f.Variant != "":
			everywhere = append(everywhere, s)
		case f.Variant == "" || s.Variant == f.Variant:
			all = append(all, s)
			if !slices.Contains(variants, s.Variant) {
				variants = append(variants, s.Variant)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return panelsOf(variants, all, everywhere)
}

func panelsOf(variants []string, all, everywhere []result.Series) []Panel {
	if i := slices.Index(variants, ""); i >= 0 && len(variants) > 1 {
		variants = slices.Delete(variants, i, i+1)
		for _, s := range all {
			if s.Variant == "" {
				everywhere = append(everywhere, s)
			}
		}
	}
	var panels []Panel
	for _, variant := range variants {
		panel := Panel{Variant: variant}
		for _, s := range all {
			if s.Variant == variant {
				panel.Series = append(panel.Series, s)
			}
		}
		panel.Series = append(panel.Series, everywhere...)
		panels = append(panels, panel)
	}
	return panels
}

// unit of a figure: that of its first series.
func unit(panels []Panel) string { return panels[0].Series[0].Unit }

// values collects what each point has to show.
func values(panels []Panel, of func(result.Point) []float64) []float64 {
	var all []float64
	for _, panel := range panels {
		for _, s := range panel.Series {
			for _, at := range s.Points {
				if at.Count > 0 {
					all = append(all, of(at)...)
				}
			}
		}
	}
	return all
}

// legend names the targets once above all panels, in as many lines as it takes.
func (p *Plotter) legend(d *Drawing, panels []Panel) {
	const sample, gap, line = 30.0, 18.0, 19.0
	x, y, seen := 0.0, d.Height+14, map[string]bool{}
	hollow := false
	for _, panel := range panels {
		for _, s := range panel.Series {
			hollow = hollow || slices.ContainsFunc(s.Points, func(at result.Point) bool { return at.Saturated })
			if seen[s.Target] {
				continue
			}
			seen[s.Target] = true
			name := p.fonts.cut(s.Target, normal, d.Width-sample)
			if need := sample + p.fonts.width(name, normal); x > 0 && x+need > d.Width {
				x, y = 0, y+line
			}
			p.legendEntry(d, p.looks[s.Target], point{x, y}, name)
			x += sample + p.fonts.width(name, normal) + gap
		}
	}
	d.Height = y + 10
	if hollow {
		d.text(inkMuted, point{0, y + line}, start, small, "hollow: the load generator was the bottleneck")
		d.Height += line
	}
}

func (p *Plotter) legendEntry(d *Drawing, look Look, at point, name string) {
	d.add(shape{ink: look.ink, width: 1.8, dash: look.dashes(), points: []point{{at.x, at.y - 4}, {at.x + 24, at.y - 4}}})
	d.marker(look, point{at.x + 12, at.y - 4})
	d.text(inkText, point{at.x + 30, at.y}, start, normal, name)
}

// axes of a panel and what is drawn between them.
type axes struct {
	x            scale
	y            func(Panel) scale
	xName, yName string
	xTicks       []tick // nil: those of the scale
	yTicks       []tick
	curves       func(d *Drawing, panel Panel, x, y scale)
}

// grid sets panels side by side where there is room.
func (p *Plotter) grid(d *Drawing, panels []Panel, a axes) {
	const between = 28.0
	columns, height := 1, 290.0
	if d.Width < 600 {
		height = 220
	}
	if len(panels) > 1 && d.Width >= 600 {
		columns, height = min(len(panels), 3), 220
	}
	if len(panels)%3 == 1 {
		columns = min(columns, 2)
	}
	width := (d.Width - between*float64(columns-1)) / float64(columns)
	top := d.Height
	for i, panel := range panels {
		row, column := i/columns, i%columns
		below := p.panel(d, panel, a, frame{
			left: float64(column) * (width + between), top: top + float64(row)*(height+66), width: width, height: height,
		})
		d.Height = max(d.Height, below)
	}
}

// frame is the room of a panel; its height is that between the axes.
type frame struct{ left, top, width, height float64 }

// panel draws the axes and the curves, and tells where it ends.
func (p *Plotter) panel(d *Drawing, panel Panel, a axes, f frame) float64 {
	y := f.top + 14
	if panel.Variant != "" {
		d.heading(point{f.left, y}, normal, p.fonts.cut(panel.Variant, normal*1.1, f.width))
		y += 17
	}
	d.text(inkMuted, point{f.left, y}, start, small, a.yName)
	top := y + 10
	bottom := f.top + f.height + 14
	yScale, yTicks := a.y(panel), a.yTicks
	if yTicks == nil {
		yTicks = yScale.ticks(6)
	}
	left := f.left + p.widest(yTicks) + 8
	right := f.left + f.width - 14
	yScale = yScale.across(bottom, top)
	xScale := a.x.across(left, right)
	for _, t := range yTicks {
		at := yScale.at(t.value)
		d.line(inkGrid, 1, point{left, at}, point{right, at})
		d.text(inkMuted, point{left - 8, at + 4}, end, small, t.label)
	}
	xTicks := a.xTicks
	if xTicks == nil {
		xTicks = xScale.ticksAcross()
	}
	p.below(d, xTicks, xScale, bottom)
	d.text(inkMuted, point{(left + right) / 2, bottom + 34}, middle, small, a.xName)
	a.curves(d, panel, xScale, yScale)
	return bottom + 46
}

// below draws an axis and those of its labels that do not touch each other.
func (p *Plotter) below(d *Drawing, ticks []tick, x scale, y float64) {
	d.line(inkMuted, 1, point{x.from, y}, point{x.to, y})
	free := math.Inf(-1)
	for _, t := range ticks {
		at := x.at(t.value)
		d.line(inkMuted, 1, point{at, y}, point{at, y + 4})
		half := p.fonts.width(t.label, small) / 2
		if at-half < free || at+half > d.Width+8 {
			continue
		}
		d.text(inkMuted, point{at, y + 17}, middle, small, t.label)
		free = at + half + 8
	}
}

func (p *Plotter) widest(ticks []tick) float64 {
	width := 0.0
	for _, t := range ticks {
		width = max(width, p.fonts.width(t.label, small))
	}
	return width
}

// places are the X of all points, each once, in order.
func places(panels []Panel) []float64 {
	all := values(panels, func(at result.Point) []float64 { return []float64{at.X} })
	slices.Sort(all)
	return slices.Compact(all)
}

func count(x float64) string { return tickLabel(x, prefix{1, ""}) }
