package result

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func aRun() Run {
	key := Key{Target: "wazero", Metric: "latency", Unit: "s"}
	return Run{
		Command: []string{"executor", "eval", "all"}, Seed: 1, Took: time.Second,
		Began:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine: Machine{OS: "linux", Cores: 2},
		Targets: []Target{{Name: "wazero"}},
		Sections: []Section{{
			Name:    "cold-start",
			Figures: []Figure{{Name: "cold-start-bars", Kind: Bars, Metric: "latency"}},
			Series:  []Series{{Key: key, Points: []Point{{X: 1, Count: 2, Quantiles: Quantiles{P50: 2}, Rounds: []float64{1, 2}}}}},
		}},
	}
}

func TestWriteThenRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	if err := Write(dir, aRun()); err != nil {
		t.Fatalf("Write() = %v, want nil", err)
	}
	got, err := Read(dir)
	if err != nil || !reflect.DeepEqual(got, aRun()) {
		t.Errorf("Read() = %+v, %v, want what was written", got, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, summaryFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"format": 1`, `"took_ns"`, `"memory_bytes"`, `"p50": 2`, `"experiments"`} {
		if !strings.Contains(string(data), name) {
			t.Errorf("summary.json has no %s", name)
		}
	}
}

func TestWriteTurnsWhatIsNoNumberIntoFailures(t *testing.T) {
	t.Parallel()
	run := aRun()
	run.Machine.Load = math.Inf(1)
	run.Sections[0].Series[0].Points[0].Rounds[1] = math.Inf(-1)
	dir := t.TempDir()
	if err := Write(dir, run); err != nil {
		t.Fatalf("Write() = %v, want nil", err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Point{X: 1, Failed: 2}
	if p := got.Sections[0].Series[0].Points[0]; !reflect.DeepEqual(p, want) {
		t.Errorf("point = %+v, want %+v", p, want)
	}
	if !math.IsInf(run.Sections[0].Series[0].Points[0].Rounds[1], -1) {
		t.Error("Write changed the run that it was given")
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":                "<html>",
		"another format":         `{"format": 2}`,
		"no format":              `{}`,
		"a path as section":      `{"format":1,"experiments":[{"name":"../x"}]}`,
		"a path as figure":       `{"format":1,"experiments":[{"name":"x","figures":[{"name":"a/b","kind":"bars"}]}]}`,
		"a kind nobody draws":    `{"format":1,"experiments":[{"name":"x","figures":[{"name":"a","kind":"pie"}]}]}`,
		"two figures of a name":  `{"format":1,"experiments":[{"name":"x","figures":[{"name":"a","kind":"bars"},{"name":"a","kind":"bars"}]}]}`,
		"a number out of bounds": `{"format":1,"experiments":[{"name":"x","series":[{"points":[{"mean":1e999}]}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, summaryFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(dir); !errors.Is(err, ErrFormat) {
				t.Errorf("Read(%s) = %v, want ErrFormat", text, err)
			}
		})
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read(nothing) = %v, want ErrNotExist", err)
	}
}

// What can be read can be written, and is the same when read again.
func FuzzDecode(f *testing.F) {
	data, err := encode(aRun())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := decode(data)
		if err != nil {
			return
		}
		again, err := encode(run)
		if err != nil {
			t.Skip() // times that JSON cannot hold
		}
		if _, err := decode(again); err != nil {
			t.Errorf("decode(encode(run)) = %v, want nil", err)
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	proc := fstest.MapFS{
		"sys/kernel/osrelease": {Data: []byte("6.1.0\n")},
		"cpuinfo":              {Data: []byte("processor\t: 0\nmodel name\t: A processor: fast\nprocessor\t: 1\n")},
		"meminfo":              {Data: []byte("MemTotal:        2048 kB\nMemFree: 1 kB\n")},
		"loadavg":              {Data: []byte("0.50 0.60 0.70 1/100 1\n")},
	}
	got := probe(proc)
	if got.Kernel != "6.1.0" || got.Processor != "A processor: fast" || got.MemoryBytes != 2<<20 || got.Load != 0.5 || got.Cores < 1 {
		t.Errorf("probe() = %+v, want what its files say", got)
	}
	if got := probe(fstest.MapFS{}); got.Kernel != "" || got.MemoryBytes != 0 || got.Load != 0 {
		t.Errorf("probe(nothing) = %+v, want nothing", got)
	}
}
