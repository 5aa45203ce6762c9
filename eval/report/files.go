package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

// Page is the name of a run's page in the directory of its results.
const Page = "report.html"

// Write makes the page of a run and its plots in dir: report.html, and
// plots/FIGURE.svg and .png.
func Write(dir string, run result.Run) error {
	page := func(w io.Writer) error { return HTML(w, run) }
	if err := writePage(filepath.Join(dir, Page), page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := writePlots(filepath.Join(dir, "plots"), run); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// writePage makes a page's file, and its directory, once the page is whole.
func writePage(path string, page func(io.Writer) error) error {
	var text bytes.Buffer
	if err := page(&text); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o600)
}

func writePlots(dir string, run result.Run) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	plotter, err := plot.New(run.Targets)
	if err != nil {
		return err
	}
	for _, section := range run.Sections {
		for _, f := range section.Figures {
			if err := writePlot(filepath.Join(dir, f.Name), plotter.DrawFile(f, section.Series)); err != nil {
				return fmt.Errorf("figure %s: %w", f.Name, err)
			}
		}
	}
	return nil
}

func writePlot(path string, d *plot.Drawing) error {
	if err := os.WriteFile(path+".svg", []byte(d.SVG()), 0o600); err != nil {
		return err
	}
	data, err := d.PNG()
	if err != nil {
		return err
	}
	return os.WriteFile(path+".png", data, 0o600)
}
