package report

import (
	"bytes"
	"fmt"
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
	var page bytes.Buffer
	if err := HTML(&page, run); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "plots"), 0o750); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, Page), page.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := writePlots(filepath.Join(dir, "plots"), run); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func writePlots(dir string, run result.Run) error {
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
