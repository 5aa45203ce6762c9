package plot

import (
	_ "embed"
	"image/color"

	"wasmwhisk/eval/result"
)

// Style is the CSS of the classes in an SVG: light, or dark where the reader
// prefers that.
//
//go:embed plot.css
var Style string

// ink is what a shape is drawn with: a class in the SVG, a colour in the PNG.
type ink int

const (
	inkText ink = iota
	inkMuted
	inkGrid
	inkPaper
	inkFloor
	inkTarget // the first of the targets' colours
)

// colors of the inks on white: the same as in plot.css. Those of targets are by
// Okabe and Ito, made for all kinds of sight, two of them darkened for lines on white.
func (i ink) color() color.NRGBA {
	return []color.NRGBA{
		{0x1f, 0x23, 0x28, 0xff},
		{0x5c, 0x66, 0x70, 0xff},
		{0xdf, 0xe3, 0xe8, 0xff},
		{0xff, 0xff, 0xff, 0xff},
		{0x8a, 0x93, 0x9c, 0xff},
		{0x00, 0x72, 0xb2, 0xff},
		{0xd5, 0x5e, 0x00, 0xff},
		{0x00, 0x9e, 0x73, 0xff},
		{0xb8, 0x52, 0x8a, 0xff},
		{0xc7, 0x8a, 0x00, 0xff},
		{0x3f, 0xa3, 0xdd, 0xff},
		{0x7a, 0x4f, 0x2a, 0xff},
	}[i]
}

func (i ink) class() string {
	return []string{
		"plot-text", "plot-muted", "plot-grid", "plot-paper", "plot-floor",
		"plot-0", "plot-1", "plot-2", "plot-3", "plot-4", "plot-5", "plot-6",
	}[i]
}

// targetInks is how many colours there are for targets. After them dashes differ.
const targetInks = 7

// Look is how a target is drawn, in every figure alike.
type Look struct {
	ink    ink
	dash   int
	marker int
}

// Class is that of an element in the target's colour.
func (l Look) Class() string { return l.ink.class() }

func (l Look) dashes() []float64 {
	return [][]float64{nil, {7, 4}, {2, 3}, {9, 3, 2, 3}}[l.dash%4]
}

// Looks gives each target its look, by its place in the run.
func Looks(targets []result.Target) map[string]Look {
	looks, next := map[string]Look{}, 0
	for _, t := range targets {
		if t.Floor {
			looks[t.Name] = Look{ink: inkFloor, dash: 2}
			continue
		}
		if _, known := looks[t.Name]; !known {
			looks[t.Name] = Look{ink: inkTarget + ink(next%targetInks), dash: next / targetInks, marker: next}
			next++
		}
	}
	return looks
}
