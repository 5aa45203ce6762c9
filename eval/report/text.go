package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"wasmwhisk/eval/plot"
	"wasmwhisk/eval/result"
)

// Markdown is the run as tables for documents: what was best, then each
// experiment with its question.
func Markdown(run result.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`", strings.ReplaceAll(commandLine(run.Command), "`", "'"))
	fmt.Fprintf(&b, ", version %s, seed %d, %s; %s\n", cell(run.Version), run.Seed, run.Began.UTC().Format("2 January 2006"), machine(run.Machine))
	if run.Partial {
		b.WriteString("\n**Partial: the run was ended before its time.**\n")
	}
	for _, section := range run.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cell(section.Title), cell(section.Question))
		if section.Partial {
			b.WriteString("\n**Partial.**\n")
		}
		for _, t := range tables(run, section) {
			b.WriteString("\n" + t.markdown())
		}
	}
	return b.String()
}

func machine(m result.Machine) string {
	return fmt.Sprintf("%s, %d cores, %s, %s/%s, load %.2f", cell(m.Processor), m.Cores, plot.Label(float64(m.MemoryBytes), "B"), m.OS, m.Arch, m.Load)
}

// markdown is the table, without the middle of a long axis.
func (t table) markdown() string {
	if len(t.Brief) > 0 {
		t = t.Short()
	}
	header, left := t.header()
	var b strings.Builder
	b.WriteString(line(header))
	b.WriteString(strings.Repeat("|---", left) + strings.Repeat("|--:", len(header)-left) + "|\n")
	for _, r := range t.Rows {
		b.WriteString(line(r.cells(t)))
	}
	return b.String()
}

// header names the columns, and tells how many of them are words.
func (t table) header() (names []string, words int) {
	names = []string{t.Metric}
	if t.Variants {
		names = append(names, "condition")
	}
	if t.Axis != "" {
		names = append(names, t.Axis)
	}
	words = len(names)
	names = append(names, "median", "quartiles", "p99", "rounds")
	for _, reference := range t.References {
		names = append(names, "÷ "+reference)
	}
	return append(names, "failed"), words
}

func (r row) cells(t table) []string {
	name := r.Target
	if r.Saturated {
		name += " (generator-bound)"
	}
	cells := []string{name}
	if t.Variants {
		cells = append(cells, r.Variant)
	}
	if t.Axis != "" {
		cells = append(cells, r.X)
	}
	cells = append(cells, r.Median, r.Quartiles, r.Tail, r.Rounds)
	for _, of := range r.Ratios {
		cells = append(cells, of.Value)
	}
	return append(cells, fmt.Sprint(r.Failed))
}

func line(cells []string) string {
	escaped := make([]string, len(cells))
	for i, text := range cells {
		escaped[i] = cell(text)
	}
	return "| " + strings.Join(escaped, " | ") + " |\n"
}

// cell is text that stays in its cell, and is text.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;", "`", "\\`", "*", `\*`).Replace(text)
}

// Text writes the comparison as a table for a terminal.
func (c Comparison) Text(w io.Writer) error {
	for _, warning := range c.Warnings {
		if _, err := fmt.Fprintln(w, "!", warning); err != nil {
			return fmt.Errorf("write comparison: %w", err)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "EXPERIMENT\tTARGET\tCONDITION\tMETRIC\tA\tB\tB/A\tP\tB IS")
	for _, ch := range c.Changes {
		words := []string{ch.Experiment, ch.Target, ch.Condition(), ch.Metric, ch.Before(), ch.After(), ch.Times(), ch.Chance(), string(ch.Verdict)}
		for i := range words {
			words[i] = strings.Join(strings.Fields(words[i]), " ")
		}
		fmt.Fprintln(t, strings.Join(words, "\t"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}
