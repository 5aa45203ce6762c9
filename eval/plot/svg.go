package plot

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Inline is the SVG for a page that has Style, with a class of its own. It scales
// with the room that it has.
func (d *Drawing) Inline(class, label string) string {
	return d.svg(fmt.Sprintf(`class="%s" role="img" aria-label="%s"`, escape(class), escape(label)), "")
}

// SVG is a file that stands alone.
func (d *Drawing) SVG() string {
	size := fmt.Sprintf(`xmlns="http://www.w3.org/2000/svg" width="%s" height="%s"`, coordinate(d.Width), coordinate(d.Height))
	paper := `<rect class="plot-paper" width="100%" height="100%" fill="currentColor"/>`
	return d.svg(size, "<style>\n"+Style+"</style>\n"+paper+"\n") + "\n"
}

func (d *Drawing) svg(attributes, before string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<svg %s viewBox=\"0 0 %s %s\" font-family=\"system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif\">\n%s",
		attributes, coordinate(d.Width), coordinate(d.Height), before)
	for _, s := range d.shapes {
		if s.words == "" {
			s.writePath(&b)
		} else {
			s.writeText(&b)
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

func (s shape) writePath(b *strings.Builder) {
	if len(s.points) == 0 {
		return
	}
	fmt.Fprintf(b, `<path class="%s" d="`, s.ink.class())
	for i, p := range s.points {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(coordinate(p.x) + " " + coordinate(p.y))
	}
	if s.closed {
		b.WriteString(`Z" fill="currentColor"`)
	} else {
		fmt.Fprintf(b, `" fill="none" stroke="currentColor" stroke-width="%s" stroke-linejoin="round"`, coordinate(s.width))
	}
	if len(s.dash) > 0 {
		fmt.Fprintf(b, ` stroke-dasharray="%s"`, strings.Trim(fmt.Sprint(s.dash), "[]"))
	}
	if s.opacity > 0 {
		fmt.Fprintf(b, ` opacity="%s"`, coordinate(s.opacity))
	}
	b.WriteString("/>\n")
}

func (s shape) writeText(b *strings.Builder) {
	fmt.Fprintf(b, `<text class="%s" x="%s" y="%s" fill="currentColor" font-size="%s"`,
		s.ink.class(), coordinate(s.points[0].x), coordinate(s.points[0].y), coordinate(s.size))
	if s.anchor != start {
		fmt.Fprintf(b, ` text-anchor="%s"`, s.anchor)
	}
	if s.bold {
		b.WriteString(` font-weight="600"`)
	}
	b.WriteString(">" + escape(s.words))
	if s.whole != "" {
		b.WriteString("<title>" + escape(s.whole) + "</title>")
	}
	b.WriteString("</text>\n")
}

// coordinate writes a length to a tenth of a pixel; opacity and the like as well.
func coordinate(v float64) string {
	text := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
