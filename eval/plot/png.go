package plot

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"slices"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// density of the PNGs: pixels for each of the drawing.
const density = 2

// PNG is the drawing on white.
func (d *Drawing) PNG() ([]byte, error) {
	fonts, err := newLetters()
	if err != nil {
		return nil, err
	}
	canvas := image.NewRGBA(image.Rect(0, 0, int(d.Width*density), int(d.Height*density)))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	for _, s := range d.shapes {
		if err := s.paint(canvas, fonts); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, canvas); err != nil {
		return nil, fmt.Errorf("encode PNG: %w", err)
	}
	return b.Bytes(), nil
}

func (s shape) paint(canvas *image.RGBA, fonts *letters) error {
	switch {
	case len(s.points) == 0:
	case s.words != "":
		return s.paintText(canvas, fonts)
	case s.closed:
		fill(canvas, s.color(), [][]point{scaled(s.points)})
	default:
		// A long line touches few of the pixels around it: a piece at a time is filled.
		for piece := range slices.Chunk(stroke(scaled(s.points), s.width*density, s.dash), 16) {
			fill(canvas, s.color(), piece)
		}
	}
	return nil
}

func (s shape) color() color.NRGBA {
	c := s.ink.color()
	if s.opacity > 0 {
		c.A = uint8(s.opacity * 255)
	}
	return c
}

func (s shape) paintText(canvas *image.RGBA, fonts *letters) error {
	face, err := fonts.face(s.size*density, s.bold)
	if err != nil {
		return err
	}
	d := font.Drawer{Dst: canvas, Src: image.NewUniform(s.color()), Face: face}
	at := point{s.points[0].x * density, s.points[0].y * density}
	width := float64(d.MeasureString(s.words)) / 64
	switch s.anchor {
	case middle:
		at.x -= width / 2
	case end:
		at.x -= width
	}
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(at.x * 64), Y: fixed.Int26_6(at.y * 64)}
	d.DrawString(s.words)
	return nil
}

func scaled(points []point) []point {
	all := make([]point, len(points))
	for i, p := range points {
		all[i] = point{p.x * density, p.y * density}
	}
	return all
}

// fill paints the union of polygons that all turn the same way.
func fill(canvas *image.RGBA, c color.Color, polygons [][]point) {
	bounds := around(polygons).Intersect(canvas.Bounds())
	if bounds.Empty() {
		return
	}
	r := vector.NewRasterizer(bounds.Dx(), bounds.Dy())
	for _, polygon := range polygons {
		for i, p := range polygon {
			x, y := float32(p.x)-float32(bounds.Min.X), float32(p.y)-float32(bounds.Min.Y)
			if i == 0 {
				r.MoveTo(x, y)
			} else {
				r.LineTo(x, y)
			}
		}
		r.ClosePath()
	}
	r.Draw(canvas, bounds, image.NewUniform(c), image.Point{})
}

// around is the rectangle of pixels that polygons touch.
func around(polygons [][]point) image.Rectangle {
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	for _, polygon := range polygons {
		for _, p := range polygon {
			low = point{min(low.x, p.x), min(low.y, p.y)}
			high = point{max(high.x, p.x), max(high.y, p.y)}
		}
	}
	if low.x > high.x {
		return image.Rectangle{}
	}
	return image.Rect(int(math.Floor(low.x)), int(math.Floor(low.y)), int(math.Ceil(high.x)), int(math.Ceil(high.y)))
}

// stroke is what a pen covers along a line: a rectangle for each piece, and a disc
// where two meet.
func stroke(line []point, width float64, dash []float64) [][]point {
	var covered [][]point
	for _, run := range dashed(line, dash) {
		for i := 1; i < len(run); i++ {
			covered = append(covered, thick(run[i-1], run[i], width))
			if i > 1 {
				covered = append(covered, Look{}.outline(run[i-1], width/2))
			}
		}
	}
	return covered
}

// thick is a rectangle along a line. It turns as discs do.
func thick(a, b point, width float64) []point {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length == 0 {
		return nil
	}
	nx, ny := -(b.y-a.y)/length*width/2, (b.x-a.x)/length*width/2
	return []point{{a.x - nx, a.y - ny}, {b.x - nx, b.y - ny}, {b.x + nx, b.y + ny}, {a.x + nx, a.y + ny}}
}

// dashed cuts a line into what is seen of it.
func dashed(line []point, dash []float64) [][]point {
	if len(dash) == 0 || len(line) < 2 {
		return [][]point{line}
	}
	var runs [][]point
	run, turn, left := []point{line[0]}, 0, dash[0]*density
	for i := 1; i < len(line); {
		from, to := line[i-1], line[i]
		if n := len(run); n > 0 {
			from = run[n-1]
		}
		length := math.Hypot(to.x-from.x, to.y-from.y)
		if length <= left {
			run, left = append(run, to), left-length
			i++
			continue
		}
		share := left / length
		cut := point{from.x + (to.x-from.x)*share, from.y + (to.y-from.y)*share}
		if turn%2 == 0 {
			runs = append(runs, append(run, cut))
		}
		turn++
		run, left = []point{cut}, dash[turn%len(dash)]*density
	}
	if turn%2 == 0 {
		runs = append(runs, run)
	}
	return runs
}
