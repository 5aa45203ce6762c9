// Package controller is OpenWhisk's REST API: actions, packages, triggers, rules
// and activations over HTTP, as wsk and the other clients of OpenWhisk ask for
// them.
//
// A request goes through the same stations each time: a transaction id, who asks
// (auth.go), what for (request.go), whether it may (package entitlement), and
// then to the file that is named after what it is about. Each handler gives an
// error or answers; the one table from errors to answers is in answer.go.
//
// The controller keeps nothing itself. Entities and records are in a store, and
// what runs is with an invoker; only sequences and compositions, which are chains
// of activations, are driven from here (compose.go).
package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk/entitlement"
)

// Controller serves the API. Its methods may be called from several goroutines
// at once.
type Controller struct {
	config   Config
	throttle *entitlement.Throttle
	bodies   *receiver
	duty     duty
	inFlight *inFlight
	metrics  *metrics
	front    *echo.Echo

	composing context.Context //nolint:containedctx // of all compositions: it ends when Stop has no time left
	abort     context.CancelCauseFunc
	composers sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil before Start
	server   *http.Server
	stopped  bool
	serving  sync.WaitGroup
}

var errStopping = errors.New("the server is being stopped")

// New makes a controller. It serves nothing until it is started.
func New(config Config) (*Controller, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("controller configuration: %w", err)
	}
	config = config.withDefaults()
	c := &Controller{
		config:   config,
		throttle: entitlement.NewThrottle(config.Rates),
		bodies:   newReceiver(config.HTTP.Body, config.HTTP.UploadBytes),
		duty:     duty{operator: config.Operator},
		inFlight: newInFlight(),
	}
	var err error
	if c.metrics, err = newMetrics(config.Registerer, c); err != nil {
		return nil, fmt.Errorf("controller metrics: %w", err)
	}
	c.front = c.newFront()
	c.composing, c.abort = context.WithCancelCause(context.Background())
	return c, nil
}

// Start listens and serves. When it returns, requests are accepted. It may be
// called twice; after Stop it is an error.
func (c *Controller) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errStopping
	case c.listener != nil:
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", c.config.Addr)
	if err != nil {
		return fmt.Errorf("api front: %w", err)
	}
	c.listener = limitConnections(listener, c.config.HTTP.Connections, c.config.Logger)
	if c.config.TLS != nil {
		c.listener = tls.NewListener(c.listener, c.config.TLS)
	}
	c.server = c.newServer()
	c.serving.Go(func() {
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			c.config.Logger.Error("serving ended", slog.Any("error", err))
		}
	})
	return nil
}

func (c *Controller) newServer() *http.Server {
	limits := c.config.HTTP
	return &http.Server{
		Handler:           c.front,
		ReadHeaderTimeout: limits.Header,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(serverLog{c.config.Logger}, "", 0),
	}
}

// serverLog passes what net/http has to say on to the log: it is about clients
// that misbehave.
type serverLog struct{ to *slog.Logger }

func (l serverLog) Write(p []byte) (int, error) {
	l.to.Debug("http server", slog.String("message", string(p)))
	return len(p), nil
}

// Addr is where the API is served, nil if it is not.
func (c *Controller) Addr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener == nil {
		return nil
	}
	return c.listener.Addr()
}

// Stop ends the controller: what is being served, and compositions that run, end
// by themselves, or when ctx is done. The invoker must be stopped after it. It
// may be called twice.
func (c *Controller) Stop(ctx context.Context) error {
	release := context.AfterFunc(ctx, func() { c.abort(errStopping) })
	defer release()
	c.mu.Lock()
	c.stopped = true
	server := c.server
	c.mu.Unlock()
	var err error
	if server != nil {
		if err = server.Shutdown(ctx); err != nil {
			err = errors.Join(fmt.Errorf("api front: %w", err), server.Close())
		}
	}
	c.serving.Wait()
	c.composers.Wait()
	c.abort(errStopping)
	c.metrics.unregister()
	return err
}
