package load_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wasmwhisk/eval/load"
)

// TestMain lets this binary be the generator's process.
func TestMain(m *testing.M) {
	if os.Getenv("GENERATOR") != "" {
		if err := load.Main(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func executable(tb testing.TB) string {
	tb.Helper()
	name, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

func start(t *testing.T) *load.Generator {
	t.Helper()
	g, err := load.Start(t.Context(), []string{"env", "GENERATOR=1", "GORACE=atexit_sleep_ms=0", executable(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return g
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func constant(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }

func get(url string) load.Operation {
	return load.Operation{Steps: []load.Request{{Method: http.MethodGet, URL: url}}}
}

func run(t *testing.T, plan load.Plan) *load.Result {
	t.Helper()
	res, err := start(t).Run(t.Context(), plan, nil)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return res
}

func failures(res *load.Result) []string {
	var f []string
	for _, s := range res.Samples {
		f = append(f, s.Failure)
	}
	return f
}

func TestClosedPlanDoesItsSequence(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-A")+" "+string(body))
		constant(w, r)
	})
	post := load.Operation{Steps: []load.Request{{
		Method: http.MethodPost, URL: url + "/b", Header: map[string]string{"x-a": "1"}, Body: []byte("text"),
	}}}
	res := run(t, load.Plan{Operations: []load.Operation{get(url + "/a"), post}, Sequence: []int{0, 1, 1}, Clients: 1, Bodies: true})
	if want := []string{"GET /a  ", "POST /b 1 text", "POST /b 1 text"}; !slices.Equal(asked, want) {
		t.Errorf("server was asked %q, want %q", asked, want)
	}
	for i, s := range res.Samples {
		if s.Failure != "" || s.Status != 200 || s.Took <= 0 || string(s.Body) != `{"ok":true}` || (s.Operation == 0) != (i == 0) {
			t.Errorf("sample %d is %+v", i, s)
		}
	}
	if len(res.Samples) != 3 || res.Took <= 0 {
		t.Errorf("%d samples in %v, want 3", len(res.Samples), res.Took)
	}
}

func TestClientsShareTheSequence(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(constant))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	res := run(t, load.Plan{Operations: []load.Operation{get(s.URL)}, Sequence: make([]int, 100), Clients: 4})
	if len(res.Samples) != 100 || connections.Load() != 4 {
		t.Errorf("%d samples over %d connections, want 100 over 4", len(res.Samples), connections.Load())
	}
}

func TestOpenPlanKeepsItsArrivals(t *testing.T) {
	t.Parallel()
	url := serve(t, constant)
	arrivals := []time.Duration{0, time.Millisecond, time.Millisecond, 20 * time.Millisecond}
	res := run(t, load.Plan{Operations: []load.Operation{get(url)}, Sequence: make([]int, 4), Arrivals: arrivals})
	var began []time.Duration
	for _, s := range res.Samples {
		began = append(began, s.Began)
		if s.Late < 0 || s.Took < s.Late || s.Failure != "" {
			t.Errorf("sample %+v: want 0 <= late <= took", s)
		}
	}
	slices.Sort(began)
	if !slices.Equal(began, arrivals) {
		t.Errorf("operations began at %v, want %v", began, arrivals)
	}
}

func TestPoissonArrivalsAreThoseOfTheSeed(t *testing.T) {
	t.Parallel()
	url := serve(t, constant)
	plan := load.Plan{Operations: []load.Operation{get(url)}, Sequence: []int{0}, Rate: 2000, Duration: 100 * time.Millisecond, Seed: 7}
	began := func(plan load.Plan) (times []time.Duration) {
		for _, s := range run(t, plan).Samples {
			times = append(times, s.Began)
		}
		slices.Sort(times)
		return times
	}
	first, second := began(plan), began(plan)
	plan.Seed = 8
	other := began(plan)
	if !slices.Equal(first, second) || slices.Equal(first, other) {
		t.Errorf("arrivals with seed 7, 7 and 8: %v, %v, %v", first, second, other)
	}
	// Six standard deviations around 200.
	if n := len(first); n < 115 || n > 285 {
		t.Errorf("%d arrivals at 2000 per second in 100 ms, want about 200", n)
	}
}

// A server that answers one request at a time and stalls with the first makes
// every later one late, though it answers those at once.
func TestLatencyContainsAStall(t *testing.T) {
	t.Parallel()
	const stall = 200 * time.Millisecond
	var first sync.Once
	var one sync.Mutex
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		first.Do(func() { <-time.After(stall) })
		constant(w, r)
	})
	arrivals := make([]time.Duration, 20)
	for i := range arrivals {
		arrivals[i] = time.Duration(i) * time.Millisecond
	}
	res := run(t, load.Plan{Operations: []load.Operation{get(url)}, Sequence: make([]int, 20), Arrivals: arrivals})
	for _, s := range res.Samples {
		if s.Began+s.Took < stall {
			t.Errorf("operation of %v ended at %v, while the server stalled until %v", s.Began, s.Began+s.Took, stall)
		}
	}
}

func TestFailuresAreSamples(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.HandlerFunc(constant))
	gone.Close()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hangup":
			panic(http.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		case "/wrong":
			w.WriteHeader(http.StatusBadGateway)
		}
		constant(w, r)
	})
	for _, c := range []struct {
		url, want string
		timeout   time.Duration
	}{
		{gone.URL, "connection refused", 0},
		{url + "/hangup", "connection closed", 0},
		{url + "/slow", "timeout", time.Second},
		{url + "/wrong", "status 502", 0},
	} {
		res := run(t, load.Plan{Operations: []load.Operation{get(c.url)}, Sequence: []int{0}, Clients: 1, Timeout: c.timeout})
		if got := failures(res); !slices.Equal(got, []string{c.want}) {
			t.Errorf("failures of %s: %q, want %q", c.url, got, c.want)
		}
	}
}

func TestStepsEndWithAFailure(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/accepted" {
			w.WriteHeader(http.StatusAccepted)
		}
	})
	steps := load.Operation{Steps: []load.Request{
		{Method: http.MethodPost, URL: url + "/accepted", Status: []int{200, 202}},
		{Method: http.MethodPost, URL: url + "/accepted"},
		{Method: http.MethodPost, URL: url},
	}}
	s := run(t, load.Plan{Operations: []load.Operation{steps}, Sequence: []int{0}, Clients: 1}).Samples[0]
	if s.Failure != "status 202" || len(s.Steps) != 2 {
		t.Errorf("sample %+v, want a failure in the second of three steps", s)
	}
}

func TestOneOperationPrepares(t *testing.T) {
	t.Parallel()
	var asked, early atomic.Int64
	var prepared atomic.Bool
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/prepare" && asked.Add(1) == 1:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/prepare":
			prepared.Store(true)
		case !prepared.Load():
			early.Add(1)
		}
	})
	op := get(url)
	op.Prepare = get(url + "/prepare").Steps
	res := run(t, load.Plan{Operations: []load.Operation{op}, Sequence: make([]int, 8), Clients: 4})
	var failed, preparing int
	for _, s := range res.Samples {
		if s.Failure != "" {
			failed++
		}
		if s.Prepared {
			preparing++
		}
		if s.Prepared && s.Failure == "" && len(s.Steps) != 2 {
			t.Errorf("steps of the sample that prepared: %v, want two", s.Steps)
		}
	}
	if failed != 1 || preparing != 2 || asked.Load() != 2 || early.Load() != 0 {
		t.Errorf("%d failed, %d prepared, server was asked to prepare %d times and too early %d times, want 1, 2, 2, 0",
			failed, preparing, asked.Load(), early.Load())
	}
}

func TestCancelKeepsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			cancel()
			<-r.Context().Done()
		}
	})
	g := start(t)
	plan := load.Plan{Operations: []load.Operation{get(url), get(url + "/last")}, Sequence: []int{0, 0, 1, 0}, Clients: 1}
	res, err := g.Run(ctx, plan, nil)
	if !errors.Is(err, context.Canceled) || res == nil || len(res.Samples) != 2 {
		t.Fatalf("Run with a context that ends = %+v, %v, want two samples and its error", res, err)
	}
	plan.Sequence = []int{0}
	if res, err = g.Run(t.Context(), plan, nil); err != nil || len(res.Samples) != 1 {
		t.Errorf("Run after one that was ended = %+v, %v", res, err)
	}
}

func TestPlansThatMakeNoSense(t *testing.T) {
	t.Parallel()
	ops := []load.Operation{get("http://127.0.0.1:1/")}
	one := []int{0}
	g := start(t)
	for _, c := range []struct {
		plan load.Plan
		want string
	}{
		{load.Plan{}, "without a sequence"},
		{load.Plan{Operations: ops, Sequence: []int{1}, Clients: 1}, "operation 1 of 1"},
		{load.Plan{Operations: ops, Sequence: one}, "one of clients, rate and arrivals"},
		{load.Plan{Operations: ops, Sequence: one, Clients: 1, Rate: 1}, "one of clients"},
		{load.Plan{Operations: ops, Sequence: one, Clients: -1}, "-1 clients"},
		{load.Plan{Operations: ops, Sequence: one, Arrivals: make([]time.Duration, 2)}, "2 arrivals for a sequence of 1"},
		{load.Plan{Operations: ops, Sequence: []int{0, 0}, Arrivals: []time.Duration{1, 0}}, "not in order"},
		{load.Plan{Operations: ops, Sequence: one, Clients: 1, Duration: -1}, "negative duration"},
		{load.Plan{Operations: make([]load.Operation, 1), Sequence: one, Clients: 1}, "no steps"},
		{load.Plan{Operations: []load.Operation{get("ftp://x/")}, Sequence: one, Clients: 1}, "no http or https URL"},
	} {
		if _, err := g.Run(t.Context(), c.plan, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Run(%+v) = %v, want an error with %q", c.plan, err, c.want)
		}
	}
}

func FuzzMain(f *testing.F) {
	var plan bytes.Buffer
	type order struct {
		Plan *load.Plan
		Stop bool
	}
	if err := gob.NewEncoder(&plan).Encode(order{Plan: &load.Plan{Sequence: []int{1}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(plan.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // whatever is ordered, nothing is requested
		_ = load.Main(ctx, bytes.NewReader(in), io.Discard)
	})
}
