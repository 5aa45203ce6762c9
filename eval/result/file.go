package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// format of summary.json. It grows when a reader of the old one would
// misunderstand the new one; fields may come without that.
const format = 1

// summaryFile is a Run in the directory of its results.
const summaryFile = "summary.json"

// ErrFormat is the error of reading what is no summary of this version.
var ErrFormat = errors.New("not a summary that this version reads")

type document struct {
	Format int `json:"format"`
	Run
}

// Write keeps a run in dir, which it makes, as summary.json. A summary that was
// there is replaced at once or not at all. Points with figures that are no finite
// numbers, which JSON cannot hold, are written as failures.
func Write(dir string, run Run) error {
	data, err := encode(run)
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	path := filepath.Join(dir, summaryFile)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// Read finds the run that Write kept in dir. What it returns can be reported: its
// figures have names that can name files, and are of known kinds. Its error is
// ErrFormat if the file is something else.
func Read(dir string) (Run, error) {
	data, err := os.ReadFile(filepath.Join(dir, summaryFile))
	if err != nil {
		return Run{}, fmt.Errorf("read summary: %w", err)
	}
	run, err := decode(data)
	if err != nil {
		return Run{}, fmt.Errorf("read summary of %s: %w", dir, err)
	}
	return run, nil
}

func encode(run Run) ([]byte, error) {
	run.Sections = slices.Clone(run.Sections)
	for i := range run.Sections {
		run.Sections[i].Series = cleaned(run.Sections[i].Series)
	}
	if !finite(run.Machine.Load) {
		run.Machine.Load = 0
	}
	return json.MarshalIndent(document{Format: format, Run: run}, "", " ")
}

func decode(data []byte) (Run, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return Run{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if d.Format != format {
		return Run{}, fmt.Errorf("%w: its format is %d, not %d", ErrFormat, d.Format, format)
	}
	if err := checkNames(d.Run); err != nil {
		return Run{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return d.Run, nil
}

// checkNames holds a run from outside to what the names of sections and figures
// promise: they become names of files.
func checkNames(run Run) error {
	seen := map[string]bool{}
	for _, section := range run.Sections {
		if !isFileName(section.Name) {
			return fmt.Errorf("%q is no name of an experiment", section.Name)
		}
		for _, f := range section.Figures {
			if !isFileName(f.Name) || seen[f.Name] {
				return fmt.Errorf("%q is no name of a figure, or of two", f.Name)
			}
			if !slices.Contains([]Kind{Bars, Lines, ECDF}, f.Kind) {
				return fmt.Errorf("figure %s: there is no kind %q", f.Name, f.Kind)
			}
			seen[f.Name] = true
		}
	}
	return nil
}

// isFileName tells whether a name is of letters, digits and "-" alone.
func isFileName(name string) bool {
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if digit := c >= '0' && c <= '9'; !letter && !digit && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 100
}

// cleaned are series without figures that are no numbers.
func cleaned(all []Series) []Series {
	all = slices.Clone(all)
	for i := range all {
		all[i].Points = slices.Clone(all[i].Points)
		for j, p := range all[i].Points {
			if !p.finite() {
				all[i].Points[j] = p.failed()
			}
		}
	}
	return all
}

func (p Point) finite() bool {
	q := p.Quantiles
	single := []float64{p.X, p.Mean, q.Min, q.P10, q.P25, q.P50, q.P75, q.P90, q.P95, q.P99, q.Max}
	for _, v := range slices.Concat(single, p.Rounds, p.ECDF) {
		if !finite(v) {
			return false
		}
	}
	return true
}

// failed is the point with its successes counted as failures.
func (p Point) failed() Point {
	failed := Point{Failed: p.Failed + p.Count, Saturated: p.Saturated}
	if finite(p.X) {
		failed.X = p.X
	}
	return failed
}
