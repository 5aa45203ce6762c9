package controller

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/invoker"
	"wasmwhisk/whisk/store"
)

// Config is what a controller is made with. Store and Invoker are required; the
// zero value of every other field has the meaning that it names.
type Config struct {
	// Addr is where the API is served; empty means 127.0.0.1:3233.
	Addr string
	// TLS has the API served over HTTPS; nil means HTTP.
	TLS *tls.Config

	Store   Store
	Invoker Invoker

	// Rates bound what each namespace may have done, Bounds the limits that an
	// action may have; a zero Bounds is whisk.DefaultBounds. Limits of a subject's
	// own go first.
	Rates  entitlement.Rates
	Bounds whisk.LimitBounds

	// Operator may have the node take on no activations, by POST /disable, and
	// take them on again, by POST /enable; the zero Key is nobody.
	Operator whisk.Key

	// Build is told by GET /api/v1.
	Build Build

	// HTTP bounds what clients may occupy.
	HTTP HTTPLimits

	// Logger takes the controller's own log; nil discards it.
	Logger *slog.Logger

	// Registerer takes the metrics; nil means that there are none. Gatherer is
	// what GET /metrics answers with, usually the same registry; nil serves none.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
}

// Build says which build of the platform this is.
type Build struct {
	Date   string // begins with a year; empty means "2026"
	Number string // empty means "0"
}

// HTTPLimits bounds what clients may occupy.
type HTTPLimits struct {
	Connections int           // served at once; more wait; 0 means 4096
	Header      time.Duration // to send the header of a request; 0 means 10 seconds
	Body        time.Duration // to send the body of a request; 0 means 30 seconds
	Write       time.Duration // to take the answer, waiting for it included; 0 means 3 minutes
	Idle        time.Duration // between requests; 0 means 70 seconds
	UploadBytes int64         // of all large bodies being received; 0 means 512 MiB
}

// Store is what a controller needs of a [store.Store].
type Store interface {
	store.Entities
	store.Transactor
	store.Code
	store.Activations
	Accept(ctx context.Context, promises ...*store.Promise) error
	Authenticate(ctx context.Context, key whisk.Key) (*whisk.Identity, error)
}

// Invoker is what a controller needs of an [invoker.Invoker].
type Invoker interface {
	// Invoke gives the record of an activation once that is durable. If ctx ends
	// first the error is [invoker.ErrUnfinished], and there will be a record.
	Invoke(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error)
	// Accept returns when it is durable that there will be a record.
	Accept(ctx context.Context, inv invoker.Invocation) error
	// Precompile has an action that was stored made ready behind what comes next.
	Precompile(a *whisk.Action)
}

// Validate says what is missing.
func (c Config) Validate() error {
	switch {
	case c.Store == nil:
		return errors.New("no store")
	case c.Invoker == nil:
		return errors.New("no invoker")
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:3233")
	c.Rates = c.Rates.WithDefaults()
	if c.Bounds == (whisk.LimitBounds{}) {
		c.Bounds = whisk.DefaultBounds()
	}
	c.Build.Date = cmp.Or(c.Build.Date, "2026")
	c.Build.Number = cmp.Or(c.Build.Number, "0")
	c.HTTP = c.HTTP.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (l HTTPLimits) withDefaults() HTTPLimits {
	l.Connections = cmp.Or(l.Connections, 4096)
	l.Header = cmp.Or(l.Header, 10*time.Second)
	l.Body = cmp.Or(l.Body, 30*time.Second)
	l.Write = cmp.Or(l.Write, 3*time.Minute)
	l.Idle = cmp.Or(l.Idle, 70*time.Second)
	l.UploadBytes = cmp.Or(l.UploadBytes, 512<<20)
	return l
}
