// Package plot draws the figures of an evaluation, as SVG and as PNG. A [Plotter]
// knows the targets of a run, so that each looks the same in all of them; what it
// draws is a [Drawing], from which both formats are made.
//
// Series of several variants are drawn in panels, one a variant, with the same
// axes. Shapes take their colours from classes in the SVG: a page with [Style] in
// it shows them light or dark.
package plot
