package host

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGuest calls the host functions as a guest does: with numbers and through
// a memory of one page.
type fakeGuest struct {
	t   testing.TB
	ctx context.Context
	mem engine.Memory
	fns map[string]engine.HostFunc
}

func newGuest(t testing.TB, c Config) *fakeGuest {
	t.Helper()
	s := NewSystem(c)
	t.Cleanup(s.Close)
	g := &fakeGuest{t: t, ctx: NewContext(t.Context(), s), mem: make(engine.Memory, engine.PageSize), fns: map[string]engine.HostFunc{}}
	for _, f := range Functions() {
		g.fns[f.Module+"."+f.Name] = f
	}
	return g
}

// try calls a function and gives its raw result.
func (g *fakeGuest) try(name string, args ...uint32) (uint64, error) {
	g.t.Helper()
	f, ok := g.fns[name]
	require.True(g.t, ok, "no function %s", name)
	require.Len(g.t, args, len(f.Type.Params), name)
	stack := make([]uint64, max(len(f.Type.Params), len(f.Type.Results)))
	for i, a := range args {
		stack[i] = uint64(a)
	}
	err := f.Call(g.ctx, g.mem, stack)
	if len(f.Type.Results) == 0 {
		return 0, err
	}
	return stack[0], err
}

// call is try for functions that answer an i32 and do not stop the guest.
func (g *fakeGuest) call(name string, args ...uint32) int32 {
	g.t.Helper()
	v, err := g.try(name, args...)
	require.NoError(g.t, err, name)
	require.LessOrEqual(g.t, v, uint64(math.MaxUint32), "%s: high half of an i32 result", name)
	return int32(uint32(v))
}

// request sends a request whose description and body lie at the start of memory.
func (g *fakeGuest) request(r request, body string) int32 {
	g.t.Helper()
	text, err := json.Marshal(r)
	require.NoError(g.t, err)
	n := copy(g.mem, text)
	m := copy(g.mem[n:], body)
	require.Equal(g.t, len(body), m, "body does not fit")
	return g.call("whisk.http_request", 0, uint32(n), uint32(n), uint32(m))
}

const scratch, scratchLen = 32 << 10, 32 << 10

func (g *fakeGuest) lastError() string {
	g.t.Helper()
	n := g.call("whisk.http_error", scratch, scratchLen)
	return string(g.mem[scratch:][:n])
}

type head struct {
	Status int         `json:"status"`
	Header http.Header `json:"headers"`
}

func (g *fakeGuest) head(handle int32) head {
	g.t.Helper()
	n := g.call("whisk.http_head", uint32(handle), scratch, scratchLen)
	require.Positive(g.t, n, g.lastError())
	var h head
	require.NoError(g.t, json.Unmarshal(g.mem[scratch:][:n], &h))
	return h
}

// body reads until the end, or gives the code that ended it.
func (g *fakeGuest) body(handle int32) (string, int32) {
	g.t.Helper()
	var b strings.Builder
	for {
		n := g.call("whisk.http_read", uint32(handle), scratch, scratchLen)
		if n <= 0 {
			return b.String(), n
		}
		b.Write(g.mem[scratch:][:n])
	}
}

// get sends a GET that must succeed and gives the body.
func (g *fakeGuest) get(url string) string {
	g.t.Helper()
	handle := g.request(request{URL: url}, "")
	require.Positive(g.t, handle, "GET %s: %s", url, g.lastError())
	body, end := g.body(handle)
	require.Zero(g.t, end, g.lastError())
	require.Zero(g.t, g.call("whisk.http_close", uint32(handle)))
	return body
}

func (g *fakeGuest) denied(url, reason string) {
	g.t.Helper()
	assert.Equal(g.t, -int32(CodeDenied), g.request(request{URL: url}, ""), url)
	assert.Contains(g.t, g.lastError(), reason, url)
}

// loopback is the policy of an operator who opens this machine to an action.
func loopback() Policy {
	return Policy{Allow: []string{"*"}, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
}

func newTestClient(t testing.TB, p Policy) *Client {
	t.Helper()
	c, err := NewClient(p)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestFunctionsHaveDistinctNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range Functions() {
		name := f.Module + "." + f.Name
		assert.False(t, seen[name], name)
		seen[name] = true
	}
}

func TestCapability(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"whisk.http_request": "net", "whisk.http_head": "net", "whisk.http_read": "net",
		"whisk.http_error": "net", "whisk.http_close": "net", "http.get": "net",
		"whisk.log": "", "whisk.deadline": "", "wasi_snapshot_preview1.fd_write": "", "whisk.get": "",
	} {
		module, fn, _ := strings.Cut(name, ".")
		assert.Equal(t, want, Capability(module, fn), name)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	type message struct {
		level Level
		text  string
	}
	var got []message
	g := newGuest(t, Config{Log: func(l Level, msg []byte) { got = append(got, message{l, string(msg)}) }})
	g.mem = make(engine.Memory, 2*MaxLogBytes)
	copy(g.mem, "hello")

	for _, args := range [][3]uint32{{0, 0, 5}, {3, 1, 0}, {math.MaxUint32, 1, 3}, {1, 8, MaxLogBytes + 1}} {
		_, err := g.try("whisk.log", args[0], args[1], args[2])
		require.NoError(t, err)
	}
	assert.Equal(t, []message{
		{LevelDebug, "hello"},
		{LevelError, ""},
		{LevelError, "ell"},
		{LevelInfo, strings.Repeat("\x00", MaxLogBytes)},
	}, got)
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123)
	got, err := newGuest(t, Config{Deadline: at}).try("whisk.deadline")
	require.NoError(t, err)
	assert.Equal(t, uint64(1_700_000_000_123), got)

	got, err = newGuest(t, Config{}).try("whisk.deadline")
	require.NoError(t, err)
	assert.Zero(t, got)
}

func TestWithoutClientRequestsAreDenied(t *testing.T) {
	t.Parallel()
	newGuest(t, Config{}).denied("http://example.org/", "no access to the network")
}

func TestWowGetWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		assert.Zero(t, newGuest(t, Config{}).call("http.get"))
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
	})
}

func TestWowGetEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("activation is over")
		g := newGuest(t, Config{})
		ctx, cancel := context.WithTimeoutCause(g.ctx, 100*time.Millisecond, why)
		defer cancel()
		g.ctx = ctx
		start := time.Now()
		_, err := g.try("http.get")
		assert.Equal(t, why, err)
		assert.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestWithoutSystemNothingIsGranted(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	g.ctx = t.Context()
	assert.Equal(t, -int32(CodeDenied), g.request(request{URL: "http://example.org/"}, ""))
	assert.Empty(t, g.lastError(), "there is nowhere to keep it")
	_, err := g.try("whisk.log", 1, 0, 4)
	assert.NoError(t, err)
}

func TestPointersOutsideMemoryTrap(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) })
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback()), Log: func(Level, []byte) {}})
	handle := uint32(g.request(request{URL: server.URL}, ""))
	size := uint32(len(g.mem))

	for _, c := range []struct {
		name string
		args []uint32
	}{
		{"whisk.http_request", []uint32{size, 1, 0, 0}},
		{"whisk.http_request", []uint32{0, 2, size - 1, 2}},
		{"whisk.http_request", []uint32{0, math.MaxUint32, 0, 0}},
		{"whisk.http_head", []uint32{handle, size - 1, 2}},
		{"whisk.http_head", []uint32{handle, math.MaxUint32, math.MaxUint32}},
		{"whisk.http_read", []uint32{handle, size, 1}},
		{"whisk.http_read", []uint32{handle, 1, size}},
		{"whisk.http_error", []uint32{size + 1, 0}},
		{"whisk.log", []uint32{1, size, 1}},
	} {
		_, err := g.try(c.name, c.args...)
		trap, ok := errors.AsType[*engine.TrapError](err)
		if assert.True(t, ok, "%s%v = %v, want a trap", c.name, c.args, err) {
			assert.Equal(t, engine.TrapMemoryOutOfBounds, trap.Kind)
		}
	}
}

// FuzzCalls lets a guest call anything with any numbers and any memory.
func FuzzCalls(f *testing.F) {
	f.Add([]byte(`{"url":"http://127.0.0.1:1/"}`), []byte{0, 0, 0, 0, 0, 29, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("hello"), []byte{5, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0, 0, 0})
	functions := Functions()
	client, err := NewClient(Policy{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, mem, calls []byte) {
		s := NewSystem(Config{HTTP: client, Log: func(Level, []byte) {}})
		defer s.Close()
		ctx, cancel := context.WithCancel(NewContext(t.Context(), s))
		cancel() // http.get must not wait
		for len(calls) >= 13 && len(mem) <= engine.PageSize {
			fn := functions[int(calls[0])%len(functions)]
			stack := make([]uint64, 4)
			for i := range 3 {
				stack[i] = uint64(binary.LittleEndian.Uint32(calls[1+4*i:]))
			}
			if err := fn.Call(ctx, mem, stack); err == nil && len(fn.Type.Results) == 1 && fn.Type.Results[0] == engine.I32 {
				assert.LessOrEqual(t, stack[0], uint64(math.MaxUint32), fn.Name)
			}
			calls = calls[13:]
		}
		assert.Empty(t, s.open)
	})
}

// closedPort is a port of this machine where nobody listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
