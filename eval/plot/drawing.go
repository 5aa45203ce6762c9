package plot

import (
	"math"

	"wasmwhisk/eval/result"
)

// Drawing is a figure before it is a file. Lengths are CSS pixels, from the upper
// left.
type Drawing struct {
	Width, Height float64
	shapes        []shape
}

// shape is something on a drawing: it has either points or words.
type shape struct {
	ink     ink
	opacity float64 // 0 means opaque

	points []point
	closed bool    // filled, rather than a line
	width  float64 // of the line
	dash   []float64

	words  string
	size   float64
	bold   bool
	anchor anchor
	whole  string // what words were before they were cut
}

type point struct{ x, y float64 }

// anchor is which part of a text is at its point.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// Sizes of text.
const (
	small  = 11.0
	normal = 12.0
	large  = 15.0
)

func (d *Drawing) add(s shape) { d.shapes = append(d.shapes, s) }

func (d *Drawing) line(of ink, width float64, points ...point) {
	d.add(shape{ink: of, width: width, points: points})
}

func (d *Drawing) box(of ink, x0, y0, x1, y1 float64) {
	d.add(shape{ink: of, closed: true, points: []point{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}})
}

func (d *Drawing) text(of ink, at point, a anchor, size float64, words string) {
	d.add(shape{ink: of, points: []point{at}, anchor: a, size: size, words: words})
}

func (d *Drawing) heading(at point, size float64, words string) {
	d.add(shape{ink: inkText, points: []point{at}, anchor: start, size: size, bold: true, words: words})
}

// mark sets a target's marker for what was measured there. It is hollow, with its
// colour at the rim alone, where the generator was the bottleneck.
func (d *Drawing) mark(l Look, at point, measured result.Point) {
	if measured.Saturated {
		d.hollowMarker(l, at)
	} else {
		d.marker(l, at)
	}
}

func (d *Drawing) marker(l Look, at point) {
	d.add(shape{ink: l.ink, closed: true, points: l.outline(at, 3.6)})
}

func (d *Drawing) hollowMarker(l Look, at point) {
	d.add(shape{ink: inkPaper, closed: true, points: l.outline(at, 3.6)})
	rim := l.outline(at, 3.6)
	d.add(shape{ink: l.ink, width: 1.4, points: append(rim, rim[0])})
}

// outline is the shape of a look's marker around a point.
func (l Look) outline(at point, radius float64) []point {
	corners := []int{24, 4, 3, 4, 3, 5}
	turns := []float64{0, 0.125, -0.25, 0, 0.25, -0.25}
	kind := l.marker % len(corners)
	var rim []point
	for i := range corners[kind] {
		angle := (turns[kind] + float64(i)/float64(corners[kind])) * 2 * math.Pi
		rim = append(rim, point{at.x + radius*math.Cos(angle)*l.grow(), at.y + radius*math.Sin(angle)*l.grow()})
	}
	return rim
}

// grow makes markers with few corners as heavy as circles.
func (l Look) grow() float64 { return []float64{1, 1.25, 1.35, 1.25, 1.35, 1.2}[l.marker%6] }
