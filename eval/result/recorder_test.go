package result

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newRecorder(t *testing.T) (*Recorder, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := NewRecorder(dir, "burst")
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func readRows(t *testing.T, dir string) [][]string {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "samples", "burst.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRecorderSummarizes(t *testing.T) {
	t.Parallel()
	r, _ := newRecorder(t)
	r.Axis = "clients"
	key := Key{Target: "wazero", Metric: "latency", Unit: "s"}
	for i := range 1000 {
		r.Add(Sample{Key: key, X: 2, Round: i % 2, Value: float64(i)})
	}
	r.Add(Sample{Key: key, X: 1, Value: 7})
	r.Add(Sample{Key: key, X: 2, Failure: "timeout"})
	r.Add(Sample{Key: key, X: 2, Value: math.NaN()})
	r.Add(Sample{Key: Key{Target: "rest"}, Failure: "status 502"})
	r.Saturate(key, 2)
	if err := r.Close(); err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}

	got := r.Series()
	if len(got) != 2 || got[0].Key != key || got[0].Axis != "clients" || len(got[0].Points) != 2 {
		t.Fatalf("Series() = %+v, want two, the first of two points", got)
	}
	if p := got[0].Points[0]; p.X != 1 || p.Count != 1 || !slices.Equal(p.ECDF, []float64{7}) || p.Quantiles.P99 != 7 {
		t.Errorf("point of one sample = %+v, want every figure 7", p)
	}
	p := got[0].Points[1]
	if p.Count != 1000 || p.Failed != 2 || !p.Saturated || !slices.Equal(p.Rounds, []float64{499, 500}) {
		t.Errorf("point = %+v, want 1000 successes, 2 failures, saturated, rounds 499 and 500", p)
	}
	if math.Abs(p.Mean-499.5) > 1e-9 || p.Quantiles.P50 != 499.5 || p.Quantiles.Max != 999 || len(p.ECDF) != 201 {
		t.Errorf("point = mean %v, %+v, %d places, want mean and median 499.5, 201 places", p.Mean, p.Quantiles, len(p.ECDF))
	}
	if p := got[1].Points[0]; p.Count != 0 || p.Failed != 1 || p.ECDF != nil {
		t.Errorf("point without success = %+v, want one failure alone", p)
	}
}

func TestRecorderWritesRows(t *testing.T) {
	t.Parallel()
	r, dir := newRecorder(t)
	key := Key{Target: "a,\"b\"", Variant: "never seen", Metric: "latency", Unit: "s"}
	r.Add(Sample{Key: key, X: 3, Round: 1, At: 1500 * time.Millisecond, Value: 0.25})
	r.Add(Sample{Key: key, Failure: "line\nbreak"})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		strings.Join(header(), "|"),
		"a,\"b\"|never seen|latency|s|3|1|1.500000|0.25|",
		"a,\"b\"|never seen|latency|s|0|0|0.000000||line\nbreak",
	}
	for i, row := range readRows(t, dir) {
		if got := strings.Join(row, "|"); got != want[i] {
			t.Errorf("row %d = %q, want %q", i, got, want[i])
		}
	}
}

func TestRecorderCapsRows(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes a hundred thousand rows")
	}
	r, dir := newRecorder(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range maxRows/4 + 1 {
				r.Add(Sample{Value: 1})
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := r.Series()[0].Points[0].Count; got != maxRows+4 {
		t.Errorf("Series() counts %d, want %d", got, maxRows+4)
	}
	if got := len(readRows(t, dir)); got != maxRows+1 {
		t.Errorf("file has %d rows, want %d", got, maxRows+1)
	}
}

func TestRecorderRefusesPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "../x", "a/b", "a b"} {
		if _, err := NewRecorder(t.TempDir(), name); err == nil {
			t.Errorf("NewRecorder(%q) = nil error, want one", name)
		}
	}
}

func TestMeanOfHugeValues(t *testing.T) {
	t.Parallel()
	if got := mean([]float64{math.MaxFloat64, math.MaxFloat64}); got != math.MaxFloat64 {
		t.Errorf("mean of the greatest value twice = %v, want itself", got)
	}
}
