package executor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/executor/action"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// turnstile is a server that holds back its answers: what asks it is known to
// be running, and goes on when it is let.
type turnstile struct {
	*httptest.Server
	came chan struct{}
	pass chan struct{}
}

func newTurnstile(t *testing.T) *turnstile {
	ts := &turnstile{came: make(chan struct{}, 100), pass: make(chan struct{})}
	ts.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ts.came <- struct{}{}
		select {
		case <-ts.pass:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, `{"body":"passed"}`)
	}))
	t.Cleanup(ts.Close)
	return ts
}

func allowLoopback(c *Config) {
	c.Net.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// goRun runs beside the test; the reply arrives on the channel.
func (f *fixture) goRun(url, value string, with ...string) <-chan reply {
	done := make(chan reply, 1)
	go func() {
		r, err := f.try(http.MethodPost, url+"/run", strings.NewReader(runBody(value, with...)))
		if err != nil {
			r.body = err.Error()
		}
		done <- r
	}()
	return done
}

func (ts *turnstile) value() string { return requestTo(ts.URL) }

// requestTo is the input of fetchGuest.
func requestTo(url string) string { return fmt.Sprintf(`{"method":"GET","url":%q}`, url) }

const netAccess = `"annotations":{"net_access":true}`

func TestEnvironment(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.HostEnv = []string{"__OW_API_HOST=https://host.example", "HOST=host", "BOTH=host", "ALL=host"}
	})
	f.init(f.single, environGuest(), `"env":{"SOME_VAR":"xyz","ANOTHER_VAR":"","BOTH":"init","ALL":"init","LIST":[1,2],"EQUAL":"a=b=c","__OW_NAMESPACE":"init"}`)
	const seven = `"namespace":"guest","action_name":"/guest/probe","action_version":"0.0.1","activation_id":"123","transaction_id":"tid","deadline":"99999999999999","api_key":"uuid:key"`
	for _, id := range []string{"one", "two"} {
		r := f.run(f.single, `{}`, seven, `"extra":[{}]`, fmt.Sprintf(`"only_%s":"x"`, id))
		require.Equal(t, 200, r.status, r.body)
		var got struct{ Env string }
		require.NoError(t, json.Unmarshal([]byte(r.body), &got))
		env := strings.Split(strings.TrimSuffix(got.Env, "|"), "|")
		slices.Sort(env)
		assert.Equal(t, []string{
			"ALL=init", "ANOTHER_VAR=", "BOTH=init", "EQUAL=a=b=c", "HOST=host", "LIST=[1,2]", "SOME_VAR=xyz",
			"__OW_ACTION_NAME=/guest/probe", "__OW_ACTION_VERSION=0.0.1", "__OW_ACTIVATION_ID=123", "__OW_API_HOST=https://host.example",
			"__OW_API_KEY=uuid:key", "__OW_DEADLINE=99999999999999", "__OW_EXTRA=[{}]", "__OW_NAMESPACE=guest",
			"__OW_ONLY_" + strings.ToUpper(id) + "=x", "__OW_TRANSACTION_ID=tid",
		}, env)
	}
}

func TestGoGuestFailures(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.MemoryBytes = 32 << 20 })
	f.init(f.single, probeGuest(t))
	for _, c := range []struct{ value, want string }{
		{`{"op":"exit","code":3}`, whisk.TextAbnormalRun + " (exit code 3)"},
		{`{"op":"panic","text":"oh dear"}`, whisk.TextAbnormalRun},
		{`{"op":"allocate","bytes":100000000}`, whisk.TextAbnormalRun},
		{`{"op":"nothing"}`, "no op nothing"},
	} {
		r := f.run(f.single, c.value)
		assert.True(t, strings.HasPrefix(errorText(t, r), c.want), "run of %s: %s", c.value, r.body)
		f.wantRun(f.single, `{"op":"calls"}`, 200, `{"calls":1}`)
	}
	assert.Contains(t, f.stderr.String(), "panic: oh dear", "what the guest's runtime said")
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := newFixture(t, func(c *Config) { c.DirRoot = filepath.Join(root, "dirs") })
	const granted = `"annotations":{"dir":"/tmp/data"}`
	of := func(namespace string) string { return fmt.Sprintf(`"env":{"__OW_NAMESPACE":%q}`, namespace) }
	const mine = `{"file":"mine"}`
	missing := `{"error":"` + whisk.TextAbnormalRun + ` (trap: unreachable)"}`
	f.init(f.multiplexed+"/a-writes", writeGuest(), granted, of("a"))
	f.init(f.multiplexed+"/a-reads", readGuest(), granted, of("a"))
	f.init(f.multiplexed+"/a-elsewhere", readGuest(), `"annotations":{"dir":"/tmp"}`, of("a"))
	f.init(f.multiplexed+"/b-reads", readGuest(), granted, of("../b c"))
	f.init(f.multiplexed+"/lone-writes", writeGuest(), granted)
	f.init(f.multiplexed+"/lone-reads", readGuest(), granted)
	f.init(f.multiplexed+"/none", readGuest(), of("a"))

	f.wantRun(f.multiplexed+"/a-reads", `{}`, 502, missing)
	f.wantRun(f.multiplexed+"/a-writes", `{}`, 200, mine)
	f.wantRun(f.multiplexed+"/a-reads", `{}`, 200, mine)
	f.wantRun(f.multiplexed+"/lone-writes", `{}`, 200, mine)
	for _, id := range []string{"a-elsewhere", "b-reads", "lone-reads", "none"} {
		f.wantRun(f.multiplexed+"/"+id, `{}`, 502, missing)
	}
	written, err := os.ReadFile(filepath.Join(root, "dirs", "namespace-a", "tmp", "data", "x"))
	require.NoError(t, err)
	assert.Equal(t, mine, string(written))

	lone := filepath.Join(root, "dirs", "container-lone-writes")
	assert.FileExists(t, filepath.Join(lone, "tmp", "data", "x"))
	f.post(f.multiplexed+"/lone-writes/destroy", "")
	assert.NoDirExists(t, lone)
	f.post(f.multiplexed+"/a-writes/destroy", "")
	f.wantRun(f.multiplexed+"/a-reads", `{}`, 200, mine)
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing beside the directory of directories")
}

func TestDirectoryThatALinkLeadsOutOf(t *testing.T) {
	t.Parallel()
	root, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "namespace-a"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "namespace-a", "link")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "namespace-a", "file"), nil, 0o600))
	f := newFixture(t, func(c *Config) { c.DirRoot = root })
	for _, dir := range []string{"/link", "/link/below", "/file"} {
		r := f.post(f.multiplexed+"/x/init", initBody(echoGuest(), `"env":{"__OW_NAMESPACE":"a"}`, `"annotations":{"dir":"`+dir+`"}`))
		assert.Equal(t, 502, r.status, r.body)
		assert.Contains(t, errorText(t, r), "something else is in its place")
	}
	f.init(f.multiplexed+"/all", echoGuest(), `"env":{"__OW_NAMESPACE":"a"}`, `"annotations":{"dir":"/"}`)
}

func TestDirectoryWhereNoneAreGranted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.post(f.single+"/init", initBody(echoGuest(), `"annotations":{"dir":"/tmp"}`))
	assert.Equal(t, 502, r.status)
	assert.Contains(t, errorText(t, r), "this executor grants none")
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"body":"hello"}`) }))
	defer server.Close()
	value, binary := requestTo(server.URL), fetchGuest()
	operator := func(change func(*Config)) *fixture { return newFixture(t, allowLoopback, change) }

	open := operator(func(*Config) {})
	open.init(open.multiplexed+"/all", binary, netAccess)
	open.wantRun(open.multiplexed+"/all", value, 200, `{"body":"hello"}`)
	open.init(open.multiplexed+"/listed", binary, `"annotations":{"net":["127.0.0.1"]}`)
	open.wantRun(open.multiplexed+"/listed", value, 200, `{"body":"hello"}`)
	open.init(open.multiplexed+"/other", binary, `"annotations":{"net":["example.org"]}`)
	assert.Contains(t, errorText(t, open.run(open.multiplexed+"/other", value)), "does not allow host")
	r := open.post(open.multiplexed+"/unasked/init", initBody(binary))
	assert.Equal(t, 502, r.status)
	assert.Contains(t, errorText(t, r), `needs the capability "net"`)
	r = open.post(open.multiplexed+"/wrong/init", initBody(binary, `"annotations":{"net":"not a host"}`))
	assert.Equal(t, 400, r.status, r.body)

	denied := operator(func(c *Config) { c.Net.Deny = []string{"127.0.0.0/8"} })
	denied.init(denied.single, binary, netAccess)
	assert.Contains(t, errorText(t, denied.run(denied.single, value)), "does not allow host")

	off := operator(func(c *Config) { c.Net.Off = true })
	assert.Equal(t, 502, off.post(off.single+"/init", initBody(binary, netAccess)).status)
}

func TestReinit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.AllowReinit = true })
	f.init(f.single, answerGuest(`{"greetings":"Hello"}`))
	f.wantRun(f.single, `{}`, 200, `{"greetings":"Hello"}`)
	f.init(f.single, answerGuest(`{"saluti":"Ciao"}`))
	f.wantRun(f.single, `{}`, 200, `{"saluti":"Ciao"}`)
	for _, broken := range [][]byte{nil, []byte("hi"), []byte("PK\x03\x04hi"), startGuest("unreachable")} {
		assert.NotEqual(t, 200, f.post(f.single+"/init", initBody(broken)).status)
		f.wantRun(f.single, `{}`, 200, `{"saluti":"Ciao"}`)
	}
}

// TestReinitUnderLoad has clients run all the time while the code changes under
// them: every request is answered, by one of the codes, and what began after a
// re-init had ended is answered by its code.
func TestReinitUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.AllowReinit = true })
	version := func(n int64) []byte { return answerGuest(fmt.Sprintf(`{"v":%d}`, n)) }
	f.init(f.single, version(0))
	var current atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := current.Load()
				r, err := f.try(http.MethodPost, f.single+"/run", strings.NewReader(`{}`))
				if !assert.NoError(t, err) || !assert.Equal(t, 200, r.status, r.body) {
					return
				}
				var got struct{ V int64 }
				assert.NoError(t, json.Unmarshal([]byte(r.body), &got))
				assert.GreaterOrEqual(t, got.V, least)
			}
		})
	}
	for n := int64(1); n <= 30; n++ {
		f.init(f.single, version(n))
		current.Store(n)
		assert.Equal(t, 502, f.post(f.single+"/init", initBody([]byte("broken"))).status)
	}
	close(stop)
	clients.Wait()
	f.wantModulesInUse(1, "old code is let go of")
}

func TestRunningActivationsEndOnTheOldCode(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback, func(c *Config) { c.AllowReinit = true })
	f.init(f.single, fetchGuest(), netAccess)
	old := f.goRun(f.single, ts.value())
	<-ts.came
	f.init(f.single, answerGuest(`{"new":true}`))
	f.wantRun(f.single, `{}`, 200, `{"new":true}`)
	f.wantModulesInUse(2, "both are used")
	close(ts.pass)
	assert.Equal(t, `{"body":"passed"}`, (<-old).body)
	f.wantModulesInUse(1, "the old one is let go of")
}

func TestDestroyLetsRunningActivationsEnd(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback)
	url := f.multiplexed + "/a"
	f.init(url, fetchGuest(), netAccess)
	running := f.goRun(url, ts.value())
	<-ts.came
	assert.Equal(t, 200, f.post(url+"/destroy", "a").status)
	f.wantRun(url, `{}`, 500, `{"error":"no action defined yet"}`)
	close(ts.pass)
	r := <-running
	assert.Equal(t, 200, r.status, r.body)
	assert.Equal(t, `{"body":"passed"}`, r.body)
	assert.Zero(t, f.containers.count())
	assert.Eventually(t, func() bool { return f.config.Pool.Stats().InUse == 0 }, 10*time.Second, time.Millisecond, "the module is let go of")
}

// slowModules compiles nothing before it is told to.
type slowModules struct {
	action.Modules
	came, cancelled chan struct{}
}

func (s slowModules) Module(ctx context.Context, _ precompile.Action) (engine.Module, precompile.Origin, error) {
	s.came <- struct{}{}
	<-ctx.Done()
	s.cancelled <- struct{}{}
	return nil, precompile.Compiled, context.Cause(ctx)
}

func TestDestroyCancelsAnInit(t *testing.T) {
	t.Parallel()
	inProcess(t)
	slow := slowModules{came: make(chan struct{}, 1), cancelled: make(chan struct{}, 1)}
	f := newFixture(t, func(c *Config) { c.Modules = slow })
	done := make(chan reply, 1)
	go func() {
		r, err := f.try(http.MethodPost, f.multiplexed+"/a/init", strings.NewReader(initBody(echoGuest())))
		assert.NoError(t, err)
		done <- r
	}()
	<-slow.came
	f.post(f.multiplexed+"/a/destroy", "a")
	r := <-done
	<-slow.cancelled
	assert.Equal(t, 500, r.status)
	assert.Equal(t, `{"error":"The container was destroyed during initialization."}`, r.body)
}

func TestClientThatGoesAwayCancelsItsInit(t *testing.T) {
	t.Parallel()
	inProcess(t)
	slow := slowModules{came: make(chan struct{}, 1), cancelled: make(chan struct{}, 1)}
	f := newFixture(t, func(c *Config) { c.Modules = slow })
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-slow.came
		cancel()
	}()
	_, err := f.tryContext(ctx, http.MethodPost, f.single+"/init", strings.NewReader(initBody(echoGuest())))
	assert.ErrorIs(t, err, context.Canceled)
	<-slow.cancelled
}

func TestClientThatGoesAwayStopsItsActivation(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback)
	url := f.multiplexed + "/a"
	f.init(url, fetchGuest(), netAccess)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-ts.came
		cancel()
	}()
	_, err := f.tryContext(ctx, http.MethodPost, url+"/run", strings.NewReader(runBody(ts.value())))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Eventually(t, func() bool { return sentinels(f.get(url+"/logs").body) == 2 }, 10*time.Second, time.Millisecond, "the activation ends")
}

func TestConcurrencyInOneContainer(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback, func(c *Config) { c.Limits.Concurrency = 2 })
	f.init(f.single, fetchGuest(), netAccess)
	one, two := f.goRun(f.single, ts.value()), f.goRun(f.single, ts.value())
	<-ts.came
	<-ts.came
	r := f.run(f.single, requestTo("http://127.0.0.1:1"), fmt.Sprintf(`"deadline":%d`, time.Now().Add(50*time.Millisecond).UnixMilli()))
	assert.Equal(t, 502, r.status, "a third waits until its deadline: %s", r.body)
	assert.Contains(t, errorText(t, r), "exceeded its time limits")
	third := f.goRun(f.single, ts.value())
	close(ts.pass)
	for _, running := range []<-chan reply{one, two, third} {
		assert.Equal(t, 200, (<-running).status)
	}
}

func TestCapacityOverHTTP(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback, func(c *Config) { c.Capacity = Capacity{Containers: 2, High: 1, Low: 0.5} })
	f.init(f.multiplexed+"/busy", fetchGuest(), netAccess)
	running := f.goRun(f.multiplexed+"/busy", ts.value())
	<-ts.came
	f.init(f.multiplexed+"/idle", echoGuest())
	f.init(f.multiplexed+"/new", echoGuest())
	f.wantRun(f.multiplexed+"/idle", `{}`, 500, `{"error":"no action defined yet"}`)

	another := f.goRun(f.multiplexed+"/new", `{}`)
	assert.Equal(t, 200, (<-another).status)
	close(ts.pass)
	assert.Equal(t, 200, (<-running).status, "a busy container stays")
}

func TestDrain(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback)
	f.init(f.single, fetchGuest(), netAccess)
	running := f.goRun(f.single, ts.value())
	<-ts.came
	stopped := make(chan error, 2)
	for range 2 {
		go func() { stopped <- f.Stop(context.Background()) }()
	}
	require.Eventually(t, f.gate.isShut, 10*time.Second, time.Millisecond)
	for _, path := range []string{"/run", "/init", "/"} {
		r := f.post(f.single+path, `{}`)
		assert.Equal(t, 503, r.status, path)
		assert.Equal(t, `{"error":"The executor is shutting down."}`, r.body)
	}
	assert.Equal(t, 503, f.post(f.multiplexed+"/start", "").status)
	assert.Equal(t, 503, f.get(f.single+"/ready").status)
	assert.Equal(t, 200, f.get(f.single+"/health").status)
	select {
	case <-stopped:
		t.Fatal("Stop returned while an activation was running")
	default:
	}
	close(ts.pass)
	assert.Equal(t, `{"body":"passed"}`, (<-running).body)
	assert.NoError(t, <-stopped)
	assert.NoError(t, <-stopped)
	_, err := f.try(http.MethodGet, f.single+"/health", nil)
	assert.Error(t, err, "nobody listens any more")
	assert.ErrorIs(t, f.Start(context.Background()), errStopped)
}

func TestStopOutOfPatience(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, spinGuest())
	var started struct{ Port int }
	require.NoError(t, json.Unmarshal([]byte(f.post(f.multiplexed+"/start", "").body), &started))
	running := f.goRun(f.single, `{}`)
	// A client that never ends its request, on the port of its own.
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", started.Port))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	require.Eventually(t, func() bool {
		f.gate.mu.Lock()
		defer f.gate.mu.Unlock()
		return f.gate.inside == 2
	}, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, f.Stop(ctx), context.Canceled)
	<-running
}

func TestStartAndStopTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	addr := f.MultiplexedAddr()
	require.NoError(t, f.Start(context.Background()))
	assert.Equal(t, addr, f.MultiplexedAddr())
	require.NoError(t, f.Stop(context.Background()))
	require.NoError(t, f.Stop(context.Background()))
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{})})
	require.NoError(t, err)
	assert.Nil(t, e.MultiplexedAddr())
	require.NoError(t, e.Stop(context.Background()))
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), MultiplexedAddr: "127.0.0.1:0", ContainerAddr: taken.Addr().String()})
	require.NoError(t, err)
	assert.ErrorContains(t, e.Start(context.Background()), "container front: ")
	require.NoError(t, e.Stop(context.Background()))
}

// noRuntime compiles nothing.
type noRuntime struct{ engine.WasmRuntime }

func TestSweepingExecutor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), Capacity: Capacity{Idle: time.Minute, Sweep: time.Second}})
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context()))
		touch(t, e.containers, "a")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, e.containers.count())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Zero(t, e.containers.count())
		require.NoError(t, e.Stop(t.Context()))
	})
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	valid := func() Config { return Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{})} }
	require.NoError(t, valid().Validate())
	for name, spoil := range map[string]func(*Config){
		"no runtime":         func(c *Config) { c.Runtime = nil },
		"no pool":            func(c *Config) { c.Pool = nil },
		"too much memory":    func(c *Config) { c.Limits.MemoryBytes = 4<<30 + 1 },
		"a share of 2":       func(c *Config) { c.Capacity.High = 2 },
		"low above high":     func(c *Config) { c.Capacity = Capacity{High: 0.5, Low: 0.6} },
		"host environment":   func(c *Config) { c.HostEnv = []string{"novalue"} },
		"pattern in net":     func(c *Config) { c.Net.Deny = []string{"a b"} },
		"negative bytes":     func(c *Config) { c.Limits.MemoryBytes = -1 },
		"nameless variables": func(c *Config) { c.HostEnv = []string{"=x"} },
	} {
		c := valid()
		spoil(&c)
		assert.Error(t, c.Validate(), name)
		_, err := New(c)
		assert.Error(t, err, name)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	inProcess(t)
	registry := prometheus.NewRegistry()
	f := newFixture(t, func(c *Config) {
		c.Registerer, c.Gatherer = registry, registry
		c.OperationsAddr = "127.0.0.1:0"
	})
	for _, id := range []string{"a", "b"} {
		f.init(f.multiplexed+"/"+id, echoGuest())
	}
	f.post(f.multiplexed+"/c/init", initBody([]byte("text")))
	f.wantRun(f.multiplexed+"/a", `{}`, 200, `{}`)
	f.wantRun(f.multiplexed+"/a", `{"error":1}`, 200, `{"error":1}`)
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP wasmwhisk_activations_total Activations that ended, by status.
# TYPE wasmwhisk_activations_total counter
wasmwhisk_activations_total{status="action developer error"} 0
wasmwhisk_activations_total{status="application error"} 1
wasmwhisk_activations_total{status="success"} 1
wasmwhisk_activations_total{status="whisk internal error"} 0
# HELP wasmwhisk_containers Containers that there are.
# TYPE wasmwhisk_containers gauge
wasmwhisk_containers 3
# HELP wasmwhisk_inits_total Initializations, by how the module was had: compile, interpret and load are cold, pool is warm; failed had none.
# TYPE wasmwhisk_inits_total counter
wasmwhisk_inits_total{module="compile"} 1
wasmwhisk_inits_total{module="failed"} 1
wasmwhisk_inits_total{module="pool"} 1
# HELP wasmwhisk_pool_hits_total Modules that were there when they were wanted.
# TYPE wasmwhisk_pool_hits_total counter
wasmwhisk_pool_hits_total 1
`), "wasmwhisk_activations_total", "wasmwhisk_containers", "wasmwhisk_inits_total", "wasmwhisk_pool_hits_total"))
	operations := urlOf(f.OperationsAddr())
	assert.Equal(t, 404, f.post(operations+"/run", `{}`).status)
	assert.Equal(t, 200, f.get(operations+"/ready").status)
	assert.Contains(t, f.get(operations+"/metrics").body, `wasmwhisk_phase_duration_seconds_count{phase="instantiate"} 2`)
	assert.Contains(t, f.get(operations+"/metrics").body, `wasmwhisk_phase_duration_seconds_count{phase="snapshot"} 1`)

	_, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), Registerer: registry})
	assert.ErrorContains(t, err, "executor metrics: ")
	families, err := registry.Gather()
	require.NoError(t, err)
	assert.NotEmpty(t, families, "the metrics of the first stay")
	require.NoError(t, f.Stop(context.Background()))
	_, err = New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), Registerer: registry})
	assert.NoError(t, err, "after it stopped there is room for another")
}

func TestLogOfActivations(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	f := newFixture(t, func(c *Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f.init(f.single, logGuest())
	f.run(f.single, `{}`, `"activation_id":"abc"`)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], `"msg":"container initialized","container":"container","timings":{"decode":`)
	assert.Contains(t, lines[1], `"msg":"activation ended","activation_id":"abc","container":"container","status":"success","timings":{"decode":`)
	assert.NotContains(t, log.String(), "hello std", "the guest's log is not ours")
}

func TestPanicsAreOurFaultAlone(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	defer e.Stop(context.Background())
	front := e.newEcho()
	front.GET("/panic", e.gated(func(echo.Context) error { panic("secret") }))
	server := httptest.NewServer(front)
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/panic")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, 500, res.StatusCode)
	assert.Equal(t, `{"error":"internal error"}`, string(body))
	assert.Contains(t, log.String(), "request panicked")
	assert.Contains(t, log.String(), "secret")
}

// panickingModules stands for an engine with a mistake.
type panickingModules struct{ action.Modules }

func (panickingModules) Module(context.Context, precompile.Action) (engine.Module, precompile.Origin, error) {
	panic("secret")
}

func TestPanicWhileCompiling(t *testing.T) {
	t.Parallel()
	inProcess(t)
	f := newFixture(t, func(c *Config) { c.Modules = panickingModules{} })
	for range 2 {
		r := f.post(f.single+"/init", initBody(echoGuest()))
		assert.Equal(t, 500, r.status)
		assert.Equal(t, `{"error":"internal error"}`, r.body)
	}
	assert.Equal(t, 200, f.get(f.single+"/health").status)
}

// send writes raw bytes and gives what comes back until the server closes.
func send(t *testing.T, url, raw string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, _ = io.WriteString(conn, raw)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server kept the connection")
	}
	return string(answer)
}

func TestHostileHTTP(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.HTTP.Header, c.HTTP.Body = time.Second, time.Second
		c.HTTP.HeaderBytes = 8 << 10
	})
	f.init(f.single, echoGuest())
	for _, c := range []struct{ name, raw, want string }{
		{"header that never ends", "POST /run HTTP/1.1\r\nHost: x\r\nX-A: ", ""},
		{"giant header", "POST /run HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"body that never ends", "POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 400 "},
		{"large body that never ends", "POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n{", "HTTP/1.1 400 "},
		{"chunk that never ends", "POST /run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "HTTP/1.1 400 "},
		{"broken chunk", "POST /run HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "HTTP/1.1 400 "},
		{"negative length", "POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
		{"length past all limits", "POST /run HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9223372036854775807\r\n\r\n", "HTTP/1.1 413 "},
		{"no HTTP", "\x16\x03\x01\x02\x00 hello\r\n\r\n", "HTTP/1.1 400 "},
		{"health ping", "", ""},
		{"path with a line break", "POST /a%0d%0ab/init HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := send(t, f.single, c.raw)
			assert.True(t, strings.HasPrefix(answer, c.want), "answer %.200q", answer)
			f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
		})
	}
}

func TestChunkedRequests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, echoGuest())
	r, err := f.try(http.MethodPost, f.single+"/run", bufio.NewReader(strings.NewReader(`{"value":{"a":1}}`)))
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, r.body)
	r, err = f.try(http.MethodPost, f.single+"/run", io.MultiReader(strings.NewReader(`{"value":"`), bytes.NewReader(make([]byte, 4<<20))))
	if err == nil {
		assert.Equal(t, 413, r.status)
	}
	f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
}

func TestUploadsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.UploadBytes = 1 << 20 })
	first, err := net.Dial("tcp", strings.TrimPrefix(f.single, "http://"))
	require.NoError(t, err)
	defer first.Close()
	fmt.Fprintf(first, "POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: 800000\r\nExpect: 100-continue\r\n\r\n")
	_, err = io.ReadFull(first, make([]byte, len("HTTP/1.1 100 Continue")))
	require.NoError(t, err, "it has its room by then")
	allFree := func() bool {
		taken, err := f.receiver.uploads.Reserve(1<<20, 1<<20)
		f.receiver.uploads.Release(taken)
		return err == nil
	}
	require.False(t, allFree())
	big := initBody(echoGuest(), `"padding":"`+strings.Repeat("x", 500_000)+`"`)
	r := f.post(f.single+"/init", big)
	assert.Equal(t, 503, r.status)
	first.Close()
	require.Eventually(t, allFree, time.Minute, time.Millisecond)
	assert.Equal(t, 200, f.post(f.single+"/init", big).status)
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.Connections = 1 })
	address := strings.TrimPrefix(f.single, "http://")
	first, err := net.Dial("tcp", address)
	require.NoError(t, err)
	fmt.Fprintf(first, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(first), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	second, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer second.Close()
	fmt.Fprintf(second, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = second.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the second waits")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(30*time.Second)))
	require.NoError(t, first.Close())
	res, err = http.ReadResponse(bufio.NewReader(second), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, 200, res.StatusCode)
}

func TestClientThatDoesNotReadIsClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.Write = 100 * time.Millisecond })
	f.init(f.single, echoGuest())
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.single, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	body := runBody(`{"a":"` + strings.Repeat("x", 1<<20-100) + `"}`)
	request := fmt.Sprintf("POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for range 100 {
		if _, err = io.WriteString(conn, request); err != nil {
			break
		}
	}
	assert.Error(t, err, "writing on while nothing is read")
}

// The guest counts on from what its start-up left: the same from a snapshot and
// from nothing.
func TestSnapshotAnnotation(t *testing.T) {
	t.Parallel()
	guest := reactorWAT(1, `(data (i32.const 1024) "{\22n\22:0}")
		(func (export "_initialize") (i32.store8 (i32.const 1029) (i32.const 0x31)))`, `
		(i32.store8 (i32.const 1029) (i32.add (i32.load8_u (i32.const 1029)) (i32.const 1)))
		(i64.const 4398046511111)`)
	f := newFixture(t)
	for id, annotations := range map[string]string{"shared": `{}`, "own": `{"snapshot":false}`} {
		url := f.multiplexed + "/" + id
		r := f.init(url, guest, `"annotations":`+annotations)
		require.Equal(t, id == "shared", strings.Contains(r.header.Get(TimingHeader), "snapshot;"), "%s: %s", id, r.header.Get(TimingHeader))
		for range 3 {
			f.wantRun(url, `{}`, 200, `{"n":2}`)
		}
	}
}
