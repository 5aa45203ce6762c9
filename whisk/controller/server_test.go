package controller_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/store"
	"wasmwhisk/whisk/store/sqlite"
)

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	_, err := controller.New(controller.Config{})
	require.EqualError(t, err, "controller configuration: no store")
	_, err = controller.New(controller.Config{Store: struct{ store.Store }{}})
	require.EqualError(t, err, "controller configuration: no invoker")
}

func TestStartAndStopTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := sqlite.Open(ctx, sqlite.Config{Dir: filepath.Join(t.TempDir(), "store")})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	registry := prometheus.NewRegistry()
	config := controller.Config{Addr: "127.0.0.1:0", Store: s, Invoker: &guests{store: s}, Registerer: registry}
	c, err := controller.New(config)
	require.NoError(t, err)
	_, err = controller.New(config)
	require.ErrorContains(t, err, "controller metrics: ", "of two with one registry")
	assert.Nil(t, c.Addr(), "before Start")
	require.NoError(t, c.Start(ctx))
	require.NoError(t, c.Start(ctx))

	taken := config
	taken.Addr, taken.Registerer = c.Addr().String(), nil
	second, err := controller.New(taken)
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(ctx), "api front: listen tcp", "on an address that is taken")

	require.NoError(t, c.Stop(ctx))
	require.NoError(t, c.Stop(ctx))
	require.Error(t, c.Start(ctx), "after Stop")
	third, err := controller.New(config)
	require.NoError(t, err, "Stop gives the metrics back")
	require.NoError(t, third.Stop(ctx), "without Start")
}

func TestStopInterruptsCompositions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("wait", "wait for it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/wait"]}}`)
	id := s.do(http.MethodPost, "_/actions/seq", ``).is(http.StatusAccepted).field("activationId")
	require.Eventually(t, func() bool { return s.guests.begun() == 1 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.controller.Stop(ctx) // says that it had no time
	record, err := s.store.Activation(t.Context(), whisk.Guest, whisk.ActivationID(id))
	require.NoError(t, err, "what was accepted is recorded")
	assert.Equal(t, whisk.InternalError, record.Response.Status)
	require.Len(t, record.Logs, 1)
	assert.JSONEq(t, `{"error":"Timeout reached when retrieving activation `+record.Logs[0]+` for sequence component."}`, string(record.Response.Result))
}

// begin sends the beginning of a PUT that says how long its body is, and gives the
// status line of the answer.
func (s *server) begin(bodyBytes int) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.url[len("http://"):])
	require.NoError(s.t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "PUT /api/v1/namespaces/_/triggers/t HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"Authorization: Basic %s\r\nContent-Length: %d\r\n\r\n{", basic(whisk.GuestKey()), bodyBytes)
	require.NoError(s.t, err)
	answer := make([]byte, len("HTTP/1.1 400"))
	_, err = io.ReadFull(conn, answer)
	require.NoError(s.t, err)
	return string(answer)
}

func TestSlowBodiesEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.HTTP.Body = 10 * time.Millisecond })
	assert.Equal(t, "HTTP/1.1 400", s.begin(100))
}

// TestBodiesThatNobodyReads: what is refused by its header has its answer, and its
// connection an end, also when the body never comes.
func TestBodiesThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.HTTP.Body = 10 * time.Millisecond })
	conn, err := net.Dial("tcp", s.url[len("http://"):])
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /api/v1/namespaces/_/actions/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 401 Unauthorized\r\n")
}

func TestLargeBodiesAreRefusedBeforeTheyCome(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Equal(t, "HTTP/1.1 413", s.begin(50<<20+1))
}

func TestUploadsAreBoundedTogether(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.HTTP.UploadBytes = 300 << 10 })
	small := string(make([]byte, 299<<10))
	wasm := header("Content-Type", "application/wasm")
	s.do(http.MethodPut, "_/actions/small", small, wasm).is(http.StatusOK)
	require.Eventually(t, func() bool { // the answer may be here before what it took is given back
		return s.do(http.MethodPut, "_/actions/small?overwrite=true", small, wasm).status == http.StatusOK
	}, time.Minute, time.Millisecond)
	s.do(http.MethodPut, "_/actions/large", "", wasm, s.unsent(301<<10)).refused(http.StatusServiceUnavailable, "The server is receiving too much at once.")
}

func TestBlockedSubjects(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do(http.MethodGet, "_/actions", "", s.asOther).is(http.StatusOK)
	subject, err := s.store.Subject(t.Context(), "other")
	require.NoError(t, err)
	subject.Blocked = true
	require.NoError(t, s.store.UpdateSubject(t.Context(), subject))
	s.do(http.MethodGet, "_/actions", "", s.asOther).refused(http.StatusUnauthorized, "The supplied authentication is invalid")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // which brings a certificate
	defer certified.Close()
	s := newServer(t, func(c *controller.Config) { c.TLS = &tls.Config{Certificates: certified.TLS.Certificates} })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		"https"+strings.TrimPrefix(s.url, "http")+"/api/v1/namespaces/_/triggers/t", strings.NewReader("{}"))
	require.NoError(t, err)
	req.SetBasicAuth(whisk.GuestKey().UUID, whisk.GuestKey().Secret)
	res, err := certified.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
}

func TestConnectionsWait(t *testing.T) {
	t.Parallel()
	log := make(lines, 10)
	s := newServer(t, func(c *controller.Config) {
		c.HTTP.Connections = 1
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	first, err := net.Dial("tcp", s.url[len("http://"):])
	require.NoError(t, err)
	_, err = first.Write([]byte("GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 1)) // so it has the only slot
	require.NoError(t, err)
	answered := make(chan int)
	go func() { answered <- s.do(http.MethodGet, "/ping", "").status }()
	assert.Contains(t, <-log, `msg="connections wait" served=1`)
	require.NoError(t, first.Close())
	assert.Equal(t, http.StatusOK, <-answered, "once the first is gone")
}

// lines is a writer of what somebody waits for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
