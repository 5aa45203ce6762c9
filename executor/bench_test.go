package executor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/precompile"
)

// BenchmarkRun compares /run, with a fresh sandbox for each, with an echo server
// that reads the request and answers a constant. Both are asked in turn, so that the ratios mean
// something on a busy machine. An iteration asks each of them for 100 ms.
func BenchmarkRun(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("wat/conns=%d", conns), func(b *testing.B) { benchmarkRun(b, newFixture(b), addGuest(b), conns) })
		b.Run(fmt.Sprintf("c/conns=%d", conns), func(b *testing.B) {
			benchmarkRun(b, newFixture(b), guesttest.BuildC(b, "../examples/c/add.c"), conns)
		})
		b.Run(fmt.Sprintf("go/conns=%d", conns), func(b *testing.B) { benchmarkRun(b, newFixture(b), goAddGuest(b), conns) })
		b.Run(fmt.Sprintf("no-engine/conns=%d", conns), func(b *testing.B) {
			benchmarkRun(b, newFixture(b, func(c *Config) { c.Modules = idle{} }), addGuest(b), conns)
		})
	}
}

// idle stands for an engine that takes no time: what is left is our own work.
type idle struct{}

func (idle) Module(context.Context, precompile.Action) (engine.Module, precompile.Origin, error) {
	return idleModule{}, precompile.Compiled, nil
}

type idleModule struct{ engine.Module }

func (idleModule) Imports() []engine.Import    { return nil }
func (idleModule) Size() int64                 { return 0 }
func (idleModule) Close(context.Context) error { return nil }
func (idleModule) Exports() []engine.Export {
	i32 := []engine.ValueType{engine.I32}
	return []engine.Export{
		{Name: "memory"},
		{Name: "ow_alloc", Type: &engine.FuncType{Params: i32, Results: i32}},
		{Name: "ow_run", Type: &engine.FuncType{Params: []engine.ValueType{engine.I32, engine.I32}, Results: []engine.ValueType{engine.I64}}},
	}
}

func (idleModule) Instantiate(context.Context, engine.Limits) (engine.Instance, error) {
	i := &idleInstance{memory: make(engine.Memory, 512)}
	copy(i.memory, `{"result":7}`)
	return i, nil
}

type idleInstance struct{ memory engine.Memory }

func (i *idleInstance) Memory() engine.Memory       { return i.memory }
func (i *idleInstance) Close(context.Context) error { return nil }
func (i *idleInstance) Call(_ context.Context, export string, _ ...uint64) ([]uint64, error) {
	switch export {
	case "ow_alloc":
		return []uint64{64}, nil
	case "ow_run":
		return []uint64{12}, nil
	}
	return nil, engine.ErrNoExport
}

func goAddGuest(t testing.TB) []byte {
	t.Helper()
	return guesttest.Build(t, "wasmwhisk/examples/add", guest.Reactor)
}

func benchmarkRun(b *testing.B, f *fixture, binary []byte, conns int) {
	b.Helper()
	f.init(f.multiplexed+"/add", binary)
	reference := newEcho(b, `{"result":7}`)
	body := runBody(`{"param1":3,"param2":4}`, `"namespace":"guest"`, `"action_name":"/guest/add"`, `"action_version":"0.0.1"`,
		`"activation_id":"0123456789abcdef0123456789abcdef"`, `"transaction_id":"tid"`, `"deadline":"99999999999999"`)
	ours := newLoad(b, f.multiplexed, conns, body)
	echoes := newLoad(b, reference.URL, conns, body)
	for b.Loop() {
		echoes.round()
		ours.round()
	}
	ours.close()
	echoes.close()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours.rate(), "req/s")
	b.ReportMetric(echoes.rate(), "echo-req/s")
	b.ReportMetric(ours.rate()/echoes.rate(), "req/s-ratio")
	b.ReportMetric(float64(ours.p50().Microseconds()), "p50-µs")
	b.ReportMetric(float64(echoes.p50().Microseconds()), "echo-p50-µs")
	b.ReportMetric(float64(ours.p50())/float64(echoes.p50()), "p50-ratio")
	b.ReportMetric(ours.allocs(), "allocs/run")
	b.ReportMetric(echoes.allocs(), "echo-allocs/run")
}

// load asks one server over and over, through clients that cost next to
// nothing: they hide less of the server than net/http's would.
type load struct {
	b       testing.TB
	clients []*rawClient
	busy    time.Duration
	took    []time.Duration
	mallocs uint64
}

func newLoad(b testing.TB, url string, conns int, body string) *load {
	b.Helper()
	l := &load{b: b}
	for range conns {
		l.clients = append(l.clients, newRawClient(b, url, body))
	}
	return l
}

func (l *load) round() {
	results := make([][]time.Duration, len(l.clients))
	before := mallocs()
	began := time.Now()
	until := began.Add(100 * time.Millisecond)
	var done sync.WaitGroup
	for i, c := range l.clients {
		done.Go(func() { results[i] = c.ask(until) })
	}
	done.Wait()
	l.busy += time.Since(began)
	l.mallocs += mallocs() - before
	for i, r := range results {
		require.NoError(l.b, l.clients[i].err, "client %d", i)
		l.took = append(l.took, r...)
	}
}

func (l *load) rate() float64 { return float64(len(l.took)) / l.busy.Seconds() }

// mallocs is how many allocations this process has made.
func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

// allocs is for each request; next to none are the client's.
func (l *load) allocs() float64 { return float64(l.mallocs) / float64(len(l.took)) }

func (l *load) p50() time.Duration {
	slices.Sort(l.took)
	return l.took[len(l.took)/2]
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = c.conn.Close()
	}
}

type rawClient struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	next    func() []byte // gives the next request, if they differ
	err     error
	body    [512]byte // of the last answer
}

func newRawClient(b testing.TB, url, body string) *rawClient {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(b, err)
	return &rawClient{conn: conn, in: bufio.NewReader(conn), request: rawPost("/add/run", body)}
}

func rawPost(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// ask sends requests until then, one after the other, and tells how long each
// took.
func (c *rawClient) ask(until time.Time) (took []time.Duration) {
	for began := time.Now(); began.Before(until); {
		if c.err = c.once(); c.err != nil {
			return took
		}
		now := time.Now()
		took = append(took, now.Sub(began))
		began = now
	}
	return took
}

func (c *rawClient) once() error {
	if c.next != nil {
		c.request = c.next()
	}
	return c.want(c.request, `{"result":7}`)
}

// want sends a request that must be answered so.
func (c *rawClient) want(request []byte, answer string) error {
	status, body, err := c.exchange(request)
	if err == nil && (status != 200 || string(body) != answer) {
		err = fmt.Errorf("status %d, body %q", status, body)
	}
	return err
}

// exchange sends a request and gives its answer, whose body must be short.
func (c *rawClient) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	length := 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		if len(line) == 2 {
			break
		}
		if status == 0 {
			status, err = strconv.Atoi(string(line[len("HTTP/1.1 "):][:3]))
		} else if digits, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, err = strconv.Atoi(string(bytes.TrimSpace(digits)))
		}
		if err != nil {
			return 0, nil, err
		}
	}
	body = c.body[:length]
	_, err = io.ReadFull(c.in, body)
	return status, body, err
}

// BenchmarkInitLoaded measures the /init of a Go action whose code is on disk and not in
// the pool, of an executor that has run for a while: with HTTP, and with where the guest
// begins. Beside it, in turns, an echo server reads the same upload.
func BenchmarkInitLoaded(b *testing.B) {
	_, with := cachedIn(b, b.TempDir(), false, atLeisure())
	f := newFixture(b, with, func(c *Config) { c.Pool = pool.New(pool.Config{MaxBytes: 1}) })
	echo := newEcho(b, `{"ok":true}`)
	body, url := wskBody(b, goAddGuest(b)), f.multiplexed+"/first"
	post := func(url string) time.Duration {
		start := time.Now()
		r := f.post(url, body)
		took := time.Since(start)
		require.Equal(b, 200, r.status, r.body)
		return took
	}
	again := func() time.Duration {
		took := post(url + "/init")
		require.Equal(b, 200, f.post(url+"/destroy", "").status)
		require.Zero(b, f.config.Pool.Stats().Modules, "modules in the pool")
		return took
	}
	again()
	var took, reference []time.Duration
	for b.Loop() {
		took, reference = append(took, again()), append(reference, post(echo.URL))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(middle(took)), "init-ms")
	b.ReportMetric(milliseconds(slices.Min(took)), "least-ms")
	b.ReportMetric(milliseconds(middle(reference)), "echo-ms")
}

// BenchmarkInit measures the /init of code that the pool has.
func BenchmarkInit(b *testing.B) {
	for name, binary := range map[string]func(testing.TB) []byte{"wat": addGuest, "go": goAddGuest} {
		b.Run(name+"/pooled", func(b *testing.B) {
			f := newFixture(b)
			f.init(f.multiplexed+"/first", binary(b))
			body := initBody(binary(b))
			n := 0
			for b.Loop() {
				n++
				id := f.multiplexed + "/c" + strconv.Itoa(n)
				require.Equal(b, 200, f.post(id+"/init", body).status)
				f.post(id+"/destroy", "")
			}
		})
	}
}
