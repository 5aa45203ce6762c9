package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// lockedBuffer takes the logs of the single container.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// fixture is an executor with both fronts on loopback ports, and a client.
type fixture struct {
	*Executor
	t      testing.TB
	client *http.Client

	multiplexed, single string // URLs
	stdout, stderr      *lockedBuffer
	slog                *lockedBuffer
}

// newFixture starts an executor for the time of a test.
func newFixture(t testing.TB, configure ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, slog: &lockedBuffer{}}
	ctx := context.Background()
	modules, err := compiled(t)
	require.NoError(t, err)
	config := Config{
		Runtime:         modules.runtime,
		Modules:         modules,
		Pool:            pool.New(pool.Config{}),
		MultiplexedAddr: "127.0.0.1:0",
		ContainerAddr:   "127.0.0.1:0",
		Stdout:          f.stdout,
		Stderr:          f.stderr,
		Limits:          Limits{InitTimeout: 10 * time.Minute}, // the race detector makes compiling slow
	}
	if *isolated {
		withWorkers(t)(&config)
	}
	for _, change := range configure {
		change(&config)
	}
	f.Executor, err = New(config)
	require.NoError(t, err)
	require.NoError(t, f.Start(ctx))
	f.multiplexed = urlOf(f.MultiplexedAddr())
	f.single = urlOf(f.ContainerAddr())
	f.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: 10 * time.Minute}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		require.NoError(t, f.Stop(ctx))
	})
	return f
}

// memo compiles each binary once for all tests: with the race detector on, a Go
// guest takes many seconds.
type memo struct {
	runtime engine.WasmRuntime
	modules sync.Map // func() (engine.Module, error), by hash
}

// The memos of the test process: tests compare whole memories after every reset,
// benchmarks do not.
var (
	compiledForTests      = lazyMemo(engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	compiledForBenchmarks = lazyMemo(engine.Config{HostFuncs: sandbox.HostFuncs()})
)

func lazyMemo(config engine.Config) func() (*memo, error) {
	return sync.OnceValues(func() (*memo, error) {
		runtime, err := wazero.NewCompiler(context.Background(), config)
		return &memo{runtime: runtime}, err
	})
}

func compiled(t testing.TB) (*memo, error) {
	if _, measured := t.(*testing.B); measured {
		return compiledForBenchmarks()
	}
	return compiledForTests()
}

func (m *memo) Module(_ context.Context, action precompile.Action) (engine.Module, precompile.Origin, error) {
	once := sync.OnceValues(func() (engine.Module, error) { return m.runtime.Compile(context.Background(), action.Binary) })
	shared, _ := m.modules.LoadOrStore(action.Hash, once)
	module, err := shared.(func() (engine.Module, error))()
	if err != nil {
		return nil, precompile.Compiled, err
	}
	return lasting{module.(engine.Snapshotter)}, precompile.Compiled, nil
}

// lasting is a module that others may still want.
type lasting struct{ engine.Snapshotter }

func (lasting) Close(context.Context) error { return nil }

func urlOf(addr net.Addr) string { return "http://" + addr.String() }

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// try sends a request and gives the reply, or the error that there was none.
func (f *fixture) try(method, url string, body io.Reader) (reply, error) {
	return f.tryContext(context.Background(), method, url, body)
}

func (f *fixture) tryContext(ctx context.Context, method, url string, body io.Reader) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return reply{}, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

func (f *fixture) get(url string) reply {
	f.t.Helper()
	r, err := f.try(http.MethodGet, url, nil)
	require.NoError(f.t, err)
	return r
}

func (f *fixture) post(url, body string) reply {
	f.t.Helper()
	r, err := f.try(http.MethodPost, url, strings.NewReader(body))
	require.NoError(f.t, err)
	return r
}

// initBody is the body of an /init; with holds more fields of its value.
func initBody(binary []byte, with ...string) string {
	return `{"value":` + initValue(binary, with...) + `}`
}

func initValue(binary []byte, with ...string) string {
	return `{"name":"test","main":"main","binary":true,"code":"` + encode(binary) + `"` + strings.Join(append([]string{""}, with...), ",") + `}`
}

// runBody is the body of a /run; with holds more of its fields.
func runBody(value string, with ...string) string {
	return `{"value":` + value + strings.Join(append([]string{""}, with...), ",") + `}`
}

// init initializes a container by its URL, and must succeed.
func (f *fixture) init(url string, binary []byte, with ...string) reply {
	f.t.Helper()
	r := f.post(url+"/init", initBody(binary, with...))
	require.Equal(f.t, 200, r.status, "init: %s", r.body)
	return r
}

func (f *fixture) run(url, value string, with ...string) reply {
	f.t.Helper()
	return f.post(url+"/run", runBody(value, with...))
}

// wantRun runs and compares.
func (f *fixture) wantRun(url, value string, status int, body string) {
	f.t.Helper()
	r := f.run(url, value)
	require.Equal(f.t, reply{status: status, body: body}, reply{status: r.status, body: r.body}, "run of %.200s", value)
}

// wantModulesInUse looks into the pool, where that is where modules are.
func (f *fixture) wantModulesInUse(n int, why string) {
	f.t.Helper()
	if !*isolated {
		require.Equal(f.t, n, f.config.Pool.Stats().InUse, why)
	}
}

// errorText is the text of an error's body.
func errorText(t testing.TB, r reply) string {
	t.Helper()
	var body struct{ Error string }
	require.NoError(t, json.Unmarshal([]byte(r.body), &body), "body %q", r.body)
	return body.Error
}

// sentinels counts the ends of activations in a log.
func sentinels(log string) int { return strings.Count(log, whisk.Sentinel) }
