// Package result holds what an evaluation measured, and summarizes it: the raw
// samples as CSV, the summary as JSON. Experiments hand their samples to a
// [Recorder]; the report is made from a [Run] alone, which [Write] keeps and [Read]
// finds again.
//
// A directory of results holds summary.json and samples/EXPERIMENT.csv.
package result

import "time"

// Run is one evaluation.
type Run struct {
	Command  []string      `json:"command"` // as it was called
	Version  string        `json:"version"` // of this program
	Seed     uint64        `json:"seed"`
	Quick    bool          `json:"quick,omitempty"`
	Partial  bool          `json:"partial,omitempty"` // it was ended before its time
	Began    time.Time     `json:"began"`
	Took     time.Duration `json:"took_ns"`
	Machine  Machine       `json:"machine"`
	Targets  []Target      `json:"targets"`
	Sections []Section     `json:"experiments"`
}

// Machine is what it ran on.
type Machine struct {
	OS          string  `json:"os"`
	Arch        string  `json:"arch"`
	Kernel      string  `json:"kernel"`
	Processor   string  `json:"processor"`
	Cores       int     `json:"cores"`
	MemoryBytes int64   `json:"memory_bytes"`
	Load        float64 `json:"load"` // average of one minute, when it began
}

// Target is one of what was measured.
type Target struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Reference   bool   `json:"reference,omitempty"`   // others are compared with it
	Floor       bool   `json:"floor,omitempty"`       // answers a constant: what is measured of it is the generator and the machine
	Unavailable string `json:"unavailable,omitempty"` // why it could not be measured
}

// Section is one experiment.
type Section struct {
	Name     string   `json:"name"`     // as the command calls it: "cold-start"
	Title    string   `json:"title"`    // for people
	Question string   `json:"question"` // what it answers
	Method   string   `json:"method"`   // how, in a sentence or two
	Partial  bool     `json:"partial,omitempty"`
	Figures  []Figure `json:"figures"`
	Series   []Series `json:"series"`
}

// Key names a series: one quantity of one target under one condition.
type Key struct {
	Target  string `json:"target"`
	Variant string `json:"variant,omitempty"` // "never seen", "hash, io-bound", …
	Metric  string `json:"metric"`            // "latency", "throughput", "memory", …
	Unit    string `json:"unit"`              // "s", "1/s", "B", "1"
}

// Series is what was measured of one quantity, over an axis if there is one.
type Series struct {
	Key
	Axis   string  `json:"axis,omitempty"` // "concurrent activations", "containers", …
	Points []Point `json:"points"`
}

// Point summarizes the samples at one place of the axis.
type Point struct {
	X         float64   `json:"x"`
	Count     int       `json:"count"`            // successes
	Failed    int       `json:"failed,omitempty"` // failures and timeouts, which are in no quantile
	Saturated bool      `json:"saturated,omitempty"`
	Mean      float64   `json:"mean"`
	Quantiles Quantiles `json:"quantiles"`

	// Rounds holds the median of each round, in order: their spread is that of the
	// figure, and what a comparison tests.
	Rounds []float64 `json:"rounds"`

	// ECDF holds the values at the quantiles 0, 1/200 … 1, or every value where there
	// are fewer: its places are evenly spaced from the least value to the greatest.
	ECDF []float64 `json:"ecdf,omitempty"`
}

// Quantiles of the samples of a point, interpolated between neighbours. They mean
// nothing where Count is 0.
type Quantiles struct {
	Min float64 `json:"min"`
	P10 float64 `json:"p10"`
	P25 float64 `json:"p25"`
	P50 float64 `json:"p50"`
	P75 float64 `json:"p75"`
	P90 float64 `json:"p90"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Figure is a plot of some of a section's series.
type Figure struct {
	Name    string `json:"name"`  // of its file, unique in the run: letters, digits and "-"
	Title   string `json:"title"` // what one sees
	Kind    Kind   `json:"kind"`
	Metric  string `json:"metric"`            // of the series in it
	Variant string `json:"variant,omitempty"` // only those of this variant; empty means all
	Log     bool   `json:"log,omitempty"`     // the axis of values
	LogX    bool   `json:"log_x,omitempty"`
}

// Kind is a way to draw series.
type Kind string

// The kinds of figures.
const (
	Bars  Kind = "bars"  // one bar a series with the spread of its rounds
	Lines Kind = "lines" // over the axis, with a band between the quartiles
	ECDF  Kind = "ecdf"  // shares of the samples below a value
)

// Sample is one measurement, a line of the CSV.
type Sample struct {
	Key
	X       float64
	Round   int
	At      time.Duration // since the experiment began
	Value   float64
	Failure string // why there is no value
}
