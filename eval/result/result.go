// Package result holds what an evaluation measured, and summarizes it: the raw
// samples as CSV, the summary as JSON. The report is made from a [Run] alone.
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
	Took     time.Duration `json:"took"`
	Machine  Machine       `json:"machine"`
	Targets  []Target      `json:"targets"`
	Sections []Section     `json:"experiments"`
}

// Machine is what it ran on.
type Machine struct {
	OS, Arch, Kernel, Processor string
	Cores                       int
	MemoryBytes                 int64
	Load                        float64 // average of one minute, when it began
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

	// ECDF holds the values at the quantiles 0, 1/200 … 1, where there are that many.
	ECDF []float64 `json:"ecdf,omitempty"`
}

// Quantiles of the samples of a point.
type Quantiles struct {
	Min, P10, P25, P50, P75, P90, P95, P99, Max float64
}

// Figure is a plot of some of a section's series.
type Figure struct {
	Name    string `json:"name"`  // of its file, unique in the run
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
