package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

//go:embed head.html
var headSource string

// frame is what every page has.
type frame struct {
	Title string
	CSS   template.CSS
	Hash  string // of CSS, for the policy of the page
}

func (f *frame) setStyle() {
	f.CSS = template.CSS(pageStyle + plot.Style) //nolint:gosec // both are files of this module
	sum := sha256.Sum256([]byte(f.CSS))
	f.Hash = base64.StdEncoding.EncodeToString(sum[:])
}

// page is what page.html shows.
type page struct {
	frame
	result.Run
	Headlines []headline
	Parts     []part
}

// part is a section with what is shown of it.
type part struct {
	result.Section
	Pictures []picture
	Tables   []table
	Failed   int
	Count    int
}

// Total is how many samples were taken.
func (p part) Total() int { return p.Count + p.Failed }

// picture is a figure, drawn for wide and for narrow windows.
type picture struct {
	result.Figure
	Wide, Narrow template.HTML
	Note         string
}

// HTML writes the page of a run.
func HTML(w io.Writer, run result.Run) error {
	parts, err := partsOf(run)
	if err != nil {
		return err
	}
	title := "Evaluation"
	if run.Partial {
		title += " (partial)"
	}
	return render(w, pageSource, &page{frame: frame{Title: title}, Run: run, Headlines: headlines(run), Parts: parts})
}

// render writes a page from its template.
func render(w io.Writer, source string, of interface{ setStyle() }) error {
	of.setStyle()
	t, err := template.New("page").Funcs(functions()).Parse(headSource)
	if err != nil {
		return fmt.Errorf("parse head of page: %w", err)
	}
	if t, err = t.Parse(source); err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	if err := t.Execute(w, of); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func functions() template.FuncMap {
	looks := map[string]plot.Look{}
	return template.FuncMap{
		"command": commandLine,
		"bytes":   func(n int64) string { return plot.Label(float64(n), "B") },
		"took":    func(d time.Duration) string { return d.Round(time.Second).String() },
		"class": func(targets []result.Target, name string) string {
			if len(looks) == 0 {
				looks = plot.Looks(targets)
			}
			return looks[name].Class()
		},
	}
}

// commandLine writes a command as a shell would read it.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}

func partsOf(run result.Run) ([]part, error) {
	plotter, err := plot.New(run.Targets)
	if err != nil {
		return nil, fmt.Errorf("draw figures: %w", err)
	}
	var parts []part
	for _, section := range run.Sections {
		p := part{Section: section, Tables: tables(run, section)}
		for _, s := range section.Series {
			for _, at := range s.Points {
				p.Count += at.Count
				p.Failed += at.Failed
			}
		}
		for _, f := range section.Figures {
			p.Pictures = append(p.Pictures, pictureOf(plotter, run, section, f))
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func pictureOf(plotter *plot.Plotter, run result.Run, section result.Section, f result.Figure) picture {
	wide, narrow := plotter.Draw(f, section.Series, plot.Wide), plotter.Draw(f, section.Series, plot.Narrow)
	return picture{
		Figure: f,
		Wide:   template.HTML(wide.Inline("wide", f.Title)),     //nolint:gosec // plot escapes all names
		Narrow: template.HTML(narrow.Inline("narrow", f.Title)), //nolint:gosec // plot escapes all names
		Note:   note(run, section, f),
	}
}

// note says what a figure's marks mean, and what the generator alone takes.
func note(run result.Run, section result.Section, f result.Figure) string {
	text := map[result.Kind]string{
		result.Bars:  "Medians; the whiskers span the medians of the rounds.",
		result.Lines: "Medians; the bands span the quartiles, unless there are too many lines.",
		result.ECDF:  "Marks stand at the median, at 90 and at 99 %.",
	}[f.Kind]
	panels := plot.Panels(f, section.Series)
	if len(panels) == 0 {
		return ""
	}
	last := plot.LastPoints(panels)
	if f.Kind == result.ECDF && len(last[0].Series) > 0 && last[0].Series[0].Axis != "" {
		text += fmt.Sprintf(" Drawn at the end of the axis: %s.", condition("", last[0].Series[0]))
	}
	if floor := floorOf(run, last); floor != "" {
		text += " Floor: " + floor + "."
	}
	return text
}

// floorOf is what the generator measures of a server that answers a constant.
func floorOf(run result.Run, last []plot.Panel) string {
	for _, panel := range last {
		for _, s := range panel.Series {
			if isFloor(run, s.Target) {
				r := rowOf(s, s.Points[0])
				text := fmt.Sprintf("%s (quartiles %s)", r.Median, r.Quartiles)
				if s.Axis != "" {
					text += " at " + condition("", s)
				}
				return text
			}
		}
	}
	return ""
}
