package executor

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// server is one listener and what serves it.
type server struct {
	http     *http.Server
	listener net.Listener
	loops    *loops                  // in front of net/http, nil for none
	cancel   context.CancelCauseFunc // of all requests
	done     chan struct{}           // closed when nothing is accepted any more
}

// listenOn starts to serve handler on an address, unless that is empty.
func (e *Executor) listenOn(ctx context.Context, address string, handler http.Handler) (*server, error) {
	if address == "" {
		return nil, nil
	}
	return e.serve(ctx, address, handler, "")
}

// serve listens on an address and serves handler there, for the container of
// that id if it is not empty.
func (e *Executor) serve(ctx context.Context, address string, handler http.Handler, id string) (*server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return e.serveOn(listener, handler, id), nil
}

// serveOn serves what a listener accepts. The activations of an activator have
// loops in front of net/http.
func (e *Executor) serveOn(listener net.Listener, handler http.Handler, id string) *server {
	limits := e.config.HTTP
	base, cancel := context.WithCancelCause(context.WithValue(context.Background(), containerKey{}, id))
	limited := &limitedListener{Listener: listener, slots: e.connLimit, write: limits.Write, closed: make(chan struct{})}
	s := &server{
		cancel:   cancel,
		listener: limited,
		done:     make(chan struct{}),
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: limits.Header,
			ReadTimeout:       limits.Body,
			IdleTimeout:       limits.Idle,
			MaxHeaderBytes:    limits.HeaderBytes,
			BaseContext:       func(net.Listener) context.Context { return base },
			ErrorLog:          log.New(serverLog{e.config.Logger}, "", 0),
		},
	}
	if front, ok := handler.(activator); ok {
		s.loops = newLoops(e, front, limited)
		s.listener = s.loops
		e.background.Go(func() { s.loops.accept(base) })
	}
	e.add(s)
	e.background.Go(func() {
		defer close(s.done)
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			e.config.Logger.Error("serving ended", "address", listener.Addr().String(), "error", err)
		}
	})
	return s
}

// add remembers a server that Stop must end.
func (e *Executor) add(s *server) {
	e.serversMu.Lock()
	defer e.serversMu.Unlock()
	e.servers[s] = struct{}{}
}

func (e *Executor) forget(s *server) {
	e.serversMu.Lock()
	defer e.serversMu.Unlock()
	delete(e.servers, s)
}

func (e *Executor) allServers() []*server {
	e.serversMu.Lock()
	defer e.serversMu.Unlock()
	return slices.Collect(maps.Keys(e.servers))
}

// addr is where the server listens, nil for no server.
func (s *server) addr() net.Addr {
	if s == nil {
		return nil
	}
	return s.listener.Addr()
}

// shutdown lets what is being served end, at most until ctx is done.
func (s *server) shutdown(ctx context.Context) {
	if s.loops.shutdown(ctx) != nil || s.http.Shutdown(ctx) != nil {
		s.abort()
	}
	<-s.done
	s.cancel(errStopping)
}

// abort closes the listener and all connections, and ends their requests.
func (s *server) abort() {
	s.cancel(errStopping)
	s.loops.abort()
	_ = s.http.Close()
	<-s.done
}

// serverLog passes what net/http has to say on to the log: it is about clients
// that misbehave.
type serverLog struct{ to *slog.Logger }

func (l serverLog) Write(p []byte) (int, error) {
	l.to.Debug("http server", "message", string(p))
	return len(p), nil
}

// newEcho makes a front that has only what operators ask for.
func (e *Executor) newEcho() *echo.Echo {
	front := echo.New()
	front.HideBanner, front.HidePort = true, true
	front.HTTPErrorHandler = e.fail
	front.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableStackAll: true,
		LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			e.config.Logger.Error("request panicked", "path", c.Path(), "error", err, "stack", string(stack))
			return err
		},
	}))
	front.GET("/health", e.health)
	front.GET("/ready", e.ready)
	front.GET("/metrics", echo.WrapHandler(e.metricsHandler()))
	return front
}

// recovered answers a request that panicked, where no middleware does.
func (e *Executor) recovered(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
		panic(p)
	}
	e.logPanic(r.URL.Path, p)
	_ = answer(w, http.StatusInternalServerError, errorBody(textInternal))
}

// logPanic is called where a panic was recovered.
func (e *Executor) logPanic(path string, p any) {
	e.config.Logger.Error("request panicked", "path", shorten(path), "error", p, "stack", string(debug.Stack()))
}

// health tells that the process lives.
func (e *Executor) health(c echo.Context) error {
	return answer(c.Response(), http.StatusOK, []byte(`{"status":"ok"}`))
}

// ready tells whether requests are served.
func (e *Executor) ready(c echo.Context) error {
	if e.gate.isShut() {
		return errDraining()
	}
	return answer(c.Response(), http.StatusOK, []byte(`{"status":"ready"}`))
}

// gated refuses requests once the executor drains.
func (e *Executor) gated(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !e.gate.enter() {
			return errDraining()
		}
		defer e.gate.leave()
		return next(c)
	}
}
