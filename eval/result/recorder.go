package result

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// maxRows is how many samples of one round of one point go to disk. Some seventy
// bytes each, they are what a reader can still load; the summary counts all.
const maxRows = 100_000

// Recorder collects the samples of one experiment: each goes to
// samples/EXPERIMENT.csv as it comes, up to a hundred thousand for each round of a
// point. Of every sample its value stays in memory, eight bytes, so that the
// quantiles are exact. Its methods may be called by several goroutines.
type Recorder struct {
	// Axis names what the X of samples counts; empty if they have none. It is set
	// before Series is called.
	Axis string

	mu     sync.Mutex
	file   *os.File
	rows   *csv.Writer
	err    error // the first of writing
	series []*collected
	index  map[Key]*collected
}

// collected is what is known of one series.
type collected struct {
	key    Key
	places map[float64]*place
}

// place is what is known of a series at one X.
type place struct {
	rounds    map[int][]float64
	failed    int
	saturated bool
}

// header of the CSV. The unit of value and x differs from row to row; at is when
// the sample was taken, since the experiment began.
func header() []string {
	return []string{"target", "variant", "metric", "unit", "x", "round", "at_s", "value", "failure"}
}

// NewRecorder begins the file of an experiment below dir. Close ends it.
func NewRecorder(dir, experiment string) (*Recorder, error) {
	if !isFileName(experiment) {
		return nil, fmt.Errorf("record samples: %q is no name of an experiment", experiment)
	}
	if err := os.MkdirAll(filepath.Join(dir, "samples"), 0o750); err != nil {
		return nil, fmt.Errorf("record samples: %w", err)
	}
	file, err := os.Create(filepath.Join(dir, "samples", experiment+".csv"))
	if err != nil {
		return nil, fmt.Errorf("record samples: %w", err)
	}
	r := &Recorder{file: file, rows: csv.NewWriter(file), index: map[Key]*collected{}}
	r.err = r.rows.Write(header())
	return r, nil
}

// Add records a sample. A value that is no finite number counts as a failure.
// What goes wrong with the file is told by Close: it must not end a measurement.
func (r *Recorder) Add(s Sample) {
	if s.Failure == "" && !finite(s.Value) {
		s.Failure = "not a number"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.place(s.Key, s.X)
	if s.Failure != "" {
		at.failed++
	} else {
		at.rounds[s.Round] = append(at.rounds[s.Round], s.Value)
	}
	if r.err == nil && len(at.rounds[s.Round]) <= maxRows {
		r.err = r.rows.Write(row(s))
	}
}

// Saturate marks a point as one where the generator was the bottleneck.
func (r *Recorder) Saturate(key Key, x float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.place(key, x).saturated = true
}

// place finds or makes that of a key. Its mutex is held. An X that is no number
// would never be found again in a map; it counts as 0.
func (r *Recorder) place(key Key, x float64) *place {
	if !finite(x) {
		x = 0
	}
	series := r.index[key]
	if series == nil {
		series = &collected{key: key, places: map[float64]*place{}}
		r.index[key] = series
		r.series = append(r.series, series)
	}
	at := series.places[x]
	if at == nil {
		at = &place{rounds: map[int][]float64{}}
		series.places[x] = at
	}
	return at
}

func row(s Sample) []string {
	value := ""
	if s.Failure == "" {
		value = number(s.Value)
	}
	return []string{
		s.Target, s.Variant, s.Metric, s.Unit,
		number(s.X), strconv.Itoa(s.Round), strconv.FormatFloat(s.At.Seconds(), 'f', 6, 64),
		value, s.Failure,
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Close ends the file and tells what went wrong with it. The samples can still be
// summarized.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows.Flush()
	if err := errors.Join(cmp.Or(r.err, r.rows.Error()), r.file.Close()); err != nil {
		return fmt.Errorf("record samples: %w", err)
	}
	return nil
}

// Series summarizes what was recorded until now: series in the order in which
// they appeared, their points by X.
func (r *Recorder) Series() []Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Series, 0, len(r.series))
	for _, c := range r.series {
		s := Series{Key: c.key, Axis: r.Axis}
		for x, at := range c.places {
			s.Points = append(s.Points, at.summarize(x))
		}
		slices.SortFunc(s.Points, func(a, b Point) int { return cmp.Compare(a.X, b.X) })
		all = append(all, s)
	}
	return all
}
