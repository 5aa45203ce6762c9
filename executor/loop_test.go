package executor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/pool"
	"wasmwhisk/whisk"
)

// plainRun is a request of the plainest form; with holds more of its fields.
func plainRun(path, body string, with ...string) string {
	fields := strings.Join(append([]string{""}, with...), "\r\n")
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d%s\r\n\r\n%s", path, len(body), fields, body)
}

// wire is a client that writes bytes as it is told.
type wire struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dialWire(t *testing.T, url string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return &wire{conn, t, bufio.NewReader(conn)}
}

func (w *wire) write(text string) {
	w.t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(w.t, err)
}

// want reads an answer and compares.
func (w *wire) want(status int, body string) *http.Response {
	w.t.Helper()
	res, err := http.ReadResponse(w.in, nil)
	require.NoError(w.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, status, res.StatusCode)
	require.Equal(w.t, body, string(got))
	return res
}

// wantEnd reads until the server closes, and nothing must come before.
func (w *wire) wantEnd() {
	w.t.Helper()
	_, err := w.in.ReadByte()
	require.ErrorIs(w.t, err, io.EOF)
}

// inLoops is how many connections of the front are in loops.
func (f *fixture) inLoops() (n int) {
	f.Executor.front.loops.each(func(*loop) { n++ })
	return n
}

func (f *fixture) wantInLoops(n int) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.inLoops() == n }, 10*time.Second, time.Millisecond, "%d connections in loops", n)
}

func TestLoop(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.multiplexed+"/a", echoGuest())
	f.client.CloseIdleConnections()
	w := dialWire(t, f.multiplexed)
	f.wantInLoops(1)
	for range 3 {
		w.write(plainRun("/a/run", `{"value":{"a":1}}`, "Connection: keep-alive"))
		header := w.want(200, `{"a":1}`).Header
		assert.Equal(t, "application/json", header.Get("Content-Type"))
		assert.Regexp(t, "^decode;dur=.*, instantiate;dur=.*, run;dur=", header.Get(TimingHeader))
		_, err := http.ParseTime(header.Get("Date"))
		assert.NoError(t, err)
	}
	w.write(plainRun("/a/run", `{"value":1}`))
	w.want(400, `{"error":"`+whisk.TextInputNotAnObj+`"}`)
	w.write(plainRun("/b/run", `{}`))
	w.want(500, `{"error":"`+errorText(t, f.run(f.multiplexed+"/b", `{}`))+`"}`)
	f.client.CloseIdleConnections()
	f.wantInLoops(1)

	w.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	w.want(200, `{"status":"ok"}`)
	f.wantInLoops(0)
	w.write(plainRun("/a/run", `{"value":{"a":2}}`))
	w.want(200, `{"a":2}`)
	w.write(plainRun("/a/run", `{"value":{"a":3}}`, "Connection: close"))
	w.want(200, `{"a":3}`)
	w.wantEnd()
}

func TestLoopWithALargeAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, reactorWAT(1, `(data (i32.const 0) "[]")`, `(i32.store8 (i32.const 0) (i32.const 91))
		(memory.fill (i32.const 1) (i32.const 32) (i32.const 49998)) (i32.store8 (i32.const 49999) (i32.const 93))
		(i64.const 50000)`))
	w := dialWire(t, f.single)
	for range 3 {
		w.write(plainRun("/run", `{}`))
		w.want(200, "["+strings.Repeat(" ", 49998)+"]")
	}
}

// TestLoopWithPieces has requests arrive in pieces of every kind: those that come
// byte by byte, several at once, in halves.
func TestLoopWithPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, echoGuest())
	text := strings.Repeat(plainRun("/run", `{"value":{"a":1}}`), 3) + plainRun("/run", `{"value":{"a":1}}`, "Connection: close")
	for _, size := range []int{1, 40, 60, 77, 78, 100, 150, len(text)} {
		w := dialWire(t, f.single)
		for piece := range slices.Chunk([]byte(text), size) {
			w.write(string(piece))
			<-time.After(50 * time.Microsecond) // so that it does arrive in pieces
		}
		for range 4 {
			w.want(200, `{"a":1}`)
		}
		w.wantEnd()
	}
}

// TestLoopWithARequestAhead has the next request come while one is running.
func TestLoopWithARequestAhead(t *testing.T) {
	t.Parallel()
	ts := newTurnstile(t)
	f := newFixture(t, allowLoopback)
	f.init(f.single, fetchGuest(), netAccess)
	w := dialWire(t, f.single)
	body := runBody(ts.value())
	w.write(plainRun("/run", body))
	for range 2 {
		<-ts.came
		<-time.After(2 * patience) // until the server looks
		w.write(plainRun("/run", body))
		ts.pass <- struct{}{}
		w.want(200, `{"body":"passed"}`)
	}
	<-ts.came
	ts.pass <- struct{}{}
	w.want(200, `{"body":"passed"}`)
}

func TestClientThatGoesAwayWithinABody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.Connections = 1 })
	w := dialWire(t, f.single)
	w.write("POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, w.Close())
	assert.Equal(t, 200, f.get(f.single+"/health").status, "its place is free again")
}

func TestClientThatStopsWithinABody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.Body = 50 * time.Millisecond })
	f.init(f.single, echoGuest())
	w := dialWire(t, f.single)
	w.write("POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	assert.True(t, w.want(400, `{"error":"The request did not arrive in time."}`).Close)
	w.wantEnd()
}

func TestIdleLoopsAreClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.HTTP.Header, c.HTTP.Idle = time.Second, 100*time.Millisecond })
	f.init(f.single, echoGuest())
	silent, idle := dialWire(t, f.single), dialWire(t, f.single)
	idle.write(plainRun("/run", `{}`))
	idle.want(200, `{}`)
	idle.wantEnd()
	silent.wantEnd()
}

func TestStopClosesIdleLoops(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, echoGuest())
	silent, idle := dialWire(t, f.single), dialWire(t, f.single)
	idle.write(plainRun("/run", `{}`))
	idle.want(200, `{}`)
	require.NoError(t, f.Stop(context.Background()))
	idle.wantEnd()
	silent.wantEnd()
}

// TestStopUnderLoad counts what clients are answered: nothing that was taken is
// lost, and nothing comes in part.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.multiplexed+"/a", echoGuest())
	var clients sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		w := dialWire(t, f.multiplexed)
		clients.Go(func() {
			for {
				_, _ = io.WriteString(w, plainRun("/a/run", `{"value":{"a":1}}`))
				res, err := http.ReadResponse(w.in, nil)
				if err != nil {
					return // closed before it took the request
				}
				body, err := io.ReadAll(res.Body)
				assert.NoError(t, err)
				switch res.StatusCode {
				case 200:
					assert.Equal(t, `{"a":1}`, string(body))
					served.Add(1)
				case 503:
					assert.True(t, res.Close, "a 503 is the last answer")
				default:
					assert.Fail(t, "unexpected answer", "%d %s", res.StatusCode, body)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return served.Load() > 500 }, time.Minute, time.Millisecond)
	require.NoError(t, f.Stop(context.Background()))
	clients.Wait()
}

// panics is a front with a mistake.
type panics struct{ activator }

func (panics) activate(context.Context, string, func(context.Context, *container) error) error {
	panic("secret")
}

func TestPanicInALoop(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{}), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	s, err := e.serve(t.Context(), "127.0.0.1:0", panics{newMultiplexed(e)}, "")
	require.NoError(t, err)
	w := dialWire(t, urlOf(s.addr()))
	for range 2 {
		w.write(plainRun("/a/run", `{}`))
		w.want(500, `{"error":"internal error"}`)
	}
	require.NoError(t, e.Stop(context.Background()))
	assert.Contains(t, log.String(), "request panicked")
	assert.Contains(t, log.String(), "secret")
}

// TestAcceptingGoesOn has a listener fail for a while.
func TestAcceptingGoesOn(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Runtime: noRuntime{}, Pool: pool.New(pool.Config{})})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := &failingListener{Listener: listener, left: 2}
	l := newLoops(e, panics{newMultiplexed(e)}, &limitedListener{Listener: failing, slots: e.connLimit, write: time.Minute, closed: make(chan struct{})})
	e.background.Go(func() { l.accept(context.Background()) })
	w := dialWire(t, urlOf(listener.Addr()))
	w.write(plainRun("/a/run", `{}`))
	w.want(500, `{"error":"internal error"}`)
	require.NoError(t, l.Close())
	require.NoError(t, l.shutdown(context.Background()))
	require.NoError(t, e.Stop(context.Background()))
}

type failingListener struct {
	net.Listener
	left int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// script is a connection whose client has all to say in parts, and hangs up.
type script struct {
	net.Conn // for what nobody calls
	parts    [][]byte
	said     bytes.Buffer
	closing  sync.Once
	closed   chan struct{}
}

func newScript(parts ...[]byte) *script { return &script{parts: parts, closed: make(chan struct{})} }

func (s *script) Read(p []byte) (int, error) {
	for len(s.parts) > 0 && len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	s.parts[0] = s.parts[0][n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.said.Write(p) }
func (s *script) Close() error                     { s.closing.Do(func() { close(s.closed) }); return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// stage is a listener for one script.
type stage struct {
	scripts chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

func newStage(s *script) *stage {
	st := &stage{scripts: make(chan net.Conn, 1), closed: make(chan struct{})}
	st.scripts <- s
	return st
}

func (s *stage) Accept() (net.Conn, error) {
	select {
	case conn := <-s.scripts:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *stage) Close() error   { s.closing.Do(func() { close(s.closed) }); return nil }
func (s *stage) Addr() net.Addr { return &net.TCPAddr{} }

// steady is a front that does not mind clients that hang up.
type steady struct{ activator }

func (s steady) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.activator.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
}

func (s steady) activate(ctx context.Context, id string, serve func(context.Context, *container) error) error {
	return s.activator.activate(context.WithoutCancel(ctx), id, serve)
}

// perform plays a script to a server and gives what that said.
func perform(t *testing.T, e *Executor, front http.Handler, parts ...[]byte) string {
	t.Helper()
	played := newScript(parts...)
	s := e.serveOn(newStage(played), front, "")
	<-played.closed
	s.shutdown(context.Background())
	e.forget(s)
	return played.said.String()
}

// answers are those that a server gave, without what differs from time to time.
// That an answer is the last one may be said or not.
func answers(t *testing.T, said string) (all []string) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(said))
	for last := false; ; {
		if _, err := in.Peek(1); err != nil {
			return all
		}
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err, "answers in %q", said)
		require.False(t, last, "what follows the last answer in %q", said)
		last = res.Close
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err, "answers in %q", said)
		var names []string
		for name := range res.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		all = append(all, fmt.Sprint(res.StatusCode, res.ContentLength, res.Header.Get("Content-Type"), names, string(body)))
	}
}

// FuzzLoop compares the loop with net/http alone: whatever bytes come, in one part
// or two, both must give the same answers and end the connection after the same.
func FuzzLoop(f *testing.F) {
	const run = "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"value\":{\"a\":1}}"
	for _, seed := range []string{
		"", "P", run, run + run, run + "\r\n" + run, run + "\r\n\r\n\r\n" + run, run + "GE", run + "\r\nGE",
		run + "GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + run,
		plainRun("/a/run", `{"value":1}`) + run, plainRun("/b/run", `{}`) + run, plainRun("/a/run", `{`) + run, plainRun("/a/run", ``) + run,
		plainRun("/a/run", `{}`, "Connection: close") + run, plainRun("/a/run", `{}`, "Content-Length: 2") + run,
		plainRun("/a/run", `{}`, "Content-Length: 3") + run, plainRun("/a/run", `{}`, "Expect: 100-continue") + run,
		plainRun("/a/run", "2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + run, plainRun("/a/run", `{}`, " folded: x") + run,
		plainRun("/a/run?x", `{}`) + run, plainRun("/a/run/", `{}`) + run, plainRun("/a%2frun", `{}`) + run, plainRun("//run", `{}`) + run,
		strings.Replace(run, "17", "18", 1), strings.Replace(run, "17", "16", 1) + run, strings.Replace(run, "17", "017", 1) + run,
		strings.Replace(run, "1.1", "1.0", 1) + run, strings.ReplaceAll(run, "\r\n", "\n") + run, strings.Replace(run, "x", "x:y/z", 1),
		plainRun("/a/run", `{"value":{"a":"`+strings.Repeat("x", loopBytes)+`"}}`) + run, run + plainRun("/a/run", `{"value":{}}`, "X: "+strings.Repeat("x", 9000)) + run,
		plainRun("/a/destroy", ``) + run,
		plainRun("/ /run", ``) + run, // net/http takes a space for the end of the path
	} {
		f.Add([]byte(seed), uint16(len(seed)))
		f.Add([]byte(seed), uint16(len(seed)/2))
		f.Add([]byte(seed), uint16(len(seed)-min(len(seed), 20)))
	}
	fix := newFixture(f)
	both := steady{newMultiplexed(fix.Executor)}
	binary := echoGuest()
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		at := min(int(cut), len(text))
		play := func(front http.Handler) []string {
			fix.t = t
			if !fix.hasContainer("a") {
				fix.init(fix.multiplexed+"/a", binary)
			}
			return answers(t, perform(t, fix.Executor, front, slices.Clone(text[:at]), slices.Clone(text[at:])))
		}
		plain := play(http.HandlerFunc(both.ServeHTTP))
		require.Equal(t, plain, play(both), "answers to %q + %q", text[:at], text[at:])
	})
}

func (f *fixture) hasContainer(id string) bool {
	ct, ok := f.containers.acquire(id)
	if ok {
		f.containers.release(ct)
	}
	return ok
}
