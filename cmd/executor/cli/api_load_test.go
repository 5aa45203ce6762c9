package cli

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/wat"
	"wasmwhisk/whisk"
)

// unlimited lifts the rates of namespaces.
const unlimited = `{"invocationsPerMinute":-1,"concurrentInvocations":-1,"firesPerMinute":-1}`

const apiPath = "/api/v1/namespaces/_/"

// launched is a process that serves at an address.
type launched struct {
	*exec.Cmd
	address string
}

// launch starts a server and waits until it takes connections.
func launch(b *testing.B, address, program string, args ...string) *launched {
	b.Helper()
	s := &launched{exec.Command(program, args...), address}
	require.NoError(b, s.Start())
	began := time.Now()
	for conn, err := net.Dial("tcp", address); ; conn, err = net.Dial("tcp", address) {
		if err == nil {
			_ = conn.Close()
			return s
		}
		require.Less(b, time.Since(began), time.Minute, "server: %v", err)
	}
}

func (s *launched) kill() {
	_ = s.Process.Kill()
	_ = s.Wait()
}

// launchAPI starts an executor that serves the API alone, with more arguments.
func launchAPI(b *testing.B, program, state string, args ...string) *launched {
	b.Helper()
	address := freeAddress(b)
	all := []string{"serve", "--api-addr", address, "--runtime-addr", "off", "--state-dir", state, "--log-level", "error", "--limits", unlimited}
	return launch(b, address, program, append(all, args...)...)
}

func addBinary(b *testing.B) []byte {
	b.Helper()
	text, err := os.ReadFile("../../../examples/wat/add.wat")
	require.NoError(b, err)
	return wat.Must(string(text))
}

// napBinary is an action that does nothing for so long.
func napBinary(d time.Duration) []byte {
	return wat.Must(fmt.Sprintf(`(module
		(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 2)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64)
			(i32.store (i32.const 16) (i32.const 1)) ;; a clock
			(i64.store (i32.const 24) (i64.const %d))
			(drop (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))
			(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))`, d.Nanoseconds()))
}

// distinct is a module that does the same and is another.
func distinct(binary []byte, n int) []byte {
	custom := fmt.Sprintf("\x00\x0b\x0a%010d", n) // a section of 11 bytes: its name, of 10
	return append(slices.Clip(binary), custom...)
}

// ask is one request as it goes over the wire.
func ask(method, path, mime string, key whisk.Key, body []byte) []byte {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		method, path, base64.StdEncoding.EncodeToString([]byte(key.Text())), mime, len(body))
	return append([]byte(head), body...)
}

func putAction(name string, key whisk.Key, binary []byte) []byte {
	return ask(http.MethodPut, apiPath+"actions/"+name, "application/wasm", key, binary)
}

func postInvoke(name, query string, key whisk.Key) []byte {
	return ask(http.MethodPost, apiPath+"actions/"+name+"?"+query, "application/json", key, []byte(`{"param1":3,"param2":4}`))
}

const resultOnly = "blocking=true&result=true"

// conn asks one request after the other, and costs little beside a server.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(b *testing.B, address string) *conn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(b, err)
	return &conn{c, bufio.NewReader(c)}
}

func (c *conn) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// want is an exchange that has to have the status.
func (c *conn) want(request []byte, status int) ([]byte, error) {
	got, body, err := c.exchange(request)
	if err == nil && got != status {
		err = fmt.Errorf("%.60q: status %d, want %d: %s", request, got, status, body)
	}
	return body, err
}

// once asks on a connection of its own.
func once(b *testing.B, address string, request []byte, status int) []byte {
	b.Helper()
	c := dial(b, address)
	defer c.Close()
	body, err := c.want(request, status)
	require.NoError(b, err)
	return body
}

// load is asked of a server by several connections at once.
type load struct {
	b       *testing.B
	conns   []*conn
	request []byte
	status  int
	took    []time.Duration
	busy    time.Duration
}

func newLoad(b *testing.B, address string, conns int, request []byte, status int) *load {
	b.Helper()
	l := &load{b: b, request: request, status: status}
	for range conns {
		c := dial(b, address)
		b.Cleanup(func() { _ = c.Close() })
		l.conns = append(l.conns, c)
	}
	return l
}

// round asks for so long.
func (l *load) round(d time.Duration) {
	l.b.Helper()
	took, errs := make([][]time.Duration, len(l.conns)), make([]error, len(l.conns))
	began := time.Now()
	var done sync.WaitGroup
	for i, c := range l.conns {
		done.Go(func() { took[i], errs[i] = l.ask(c, began.Add(d)) })
	}
	done.Wait()
	l.busy += time.Since(began)
	l.took = append(l.took, slices.Concat(took...)...)
	for _, err := range errs {
		require.NoError(l.b, err)
	}
}

func (l *load) ask(c *conn, until time.Time) (took []time.Duration, err error) {
	for began := time.Now(); began.Before(until); {
		if _, err := c.want(l.request, l.status); err != nil {
			return took, err
		}
		now := time.Now()
		took, began = append(took, now.Sub(began)), now
	}
	return took, nil
}

func (l *load) rate() float64 { return float64(len(l.took)) / l.busy.Seconds() }

// percentile is in microseconds.
func (l *load) percentile(p int) float64 {
	slices.Sort(l.took)
	return float64(l.took[(len(l.took)-1)*p/100].Nanoseconds()) / 1e3
}

// many is how many actions are stored where there are to be many.
func many() int {
	if testing.Short() {
		return 200
	}
	return 10_000
}

// createMany puts actions a0, a1, …, each of a module of its own, in batches of
// eight at once.
func createMany(b *testing.B, address string, n int) {
	b.Helper()
	binary := addBinary(b)
	const at = 8
	errs := make([]error, at)
	var done sync.WaitGroup
	for i := range at {
		c := dial(b, address)
		done.Go(func() {
			defer c.Close()
			for k := i; k < n && errs[i] == nil; k += at {
				_, errs[i] = c.want(putAction(fmt.Sprintf("a%d", k), whisk.GuestKey(), distinct(binary, k)), http.StatusOK)
			}
		})
	}
	done.Wait()
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// greed asks each of its requests on a connection, again and again, whatever it is
// answered.
type greed struct {
	address         string
	requests        [][]byte
	served, refused atomic.Int64
}

// begin asks until it is stopped. A nil greed asks for nothing.
func (g *greed) begin(b *testing.B) (stop func()) {
	b.Helper()
	if g == nil {
		return func() {}
	}
	var done sync.WaitGroup
	var stopped atomic.Bool
	for _, request := range g.requests {
		c := dial(b, g.address)
		done.Go(func() {
			defer c.Close()
			for ok := true; ok && !stopped.Load(); {
				ok = g.once(c, request)
			}
		})
	}
	return func() {
		stopped.Store(true)
		done.Wait()
	}
}

func (g *greed) once(c *conn, request []byte) bool {
	status, _, err := c.exchange(request)
	if status == http.StatusTooManyRequests {
		g.refused.Add(1)
	} else {
		g.served.Add(1)
	}
	return err == nil
}
