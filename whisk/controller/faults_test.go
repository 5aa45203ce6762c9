package controller_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/invoker"
	"wasmwhisk/whisk/store"
)

// brokenStore can be read, but keeps neither records nor promises, nor lists any.
type brokenStore struct{ controller.Store }

var errDisk = errors.New("disk on fire")

func (brokenStore) Append(context.Context, ...*whisk.Activation) error { return errDisk }
func (brokenStore) Accept(context.Context, ...*store.Promise) error    { return errDisk }

func (brokenStore) ListSummaries(context.Context, store.ActivationQuery) ([]*whisk.ActivationSummary, error) {
	return nil, errDisk
}

// brokenInvoker refuses, or panics.
type brokenInvoker struct {
	controller.Invoker
	refusal error // nil panics
}

func (i brokenInvoker) Invoke(context.Context, invoker.Invocation) (*whisk.Activation, error) {
	if i.refusal == nil {
		panic("invoker on fire")
	}
	return nil, i.refusal
}

func (i brokenInvoker) Accept(ctx context.Context, inv invoker.Invocation) error {
	_, err := i.Invoke(ctx, inv)
	return err
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const textInternal = "There was an internal server error."

func TestFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	var log buffer
	s := newServer(t, func(c *controller.Config) {
		c.Store = brokenStore{c.Store}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.action("a", "echo it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/a"]}}`)
	s.put("_/triggers/t", `{}`)
	s.put("_/rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	s.do(http.MethodGet, "_/activations", "").refused(http.StatusInternalServerError, textInternal)
	s.do(http.MethodPost, "_/actions/seq", "").refused(http.StatusInternalServerError, textInternal)
	s.do(http.MethodPost, "_/actions/seq?blocking=true", "").refused(http.StatusInternalServerError, textInternal)
	s.do(http.MethodPost, "_/triggers/t", "").refused(http.StatusInternalServerError, textInternal)
	assert.Contains(t, log.String(), "disk on fire", "the operator learns more than the caller")
	assert.Contains(t, log.String(), "activation record is lost")
}

func TestFaultsOfTheInvoker(t *testing.T) {
	t.Parallel()
	var log buffer
	s := newServer(t, func(c *controller.Config) {
		c.Invoker = brokenInvoker{Invoker: c.Invoker}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.action("a", "echo it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/a"]}}`)
	s.do(http.MethodPost, "_/actions/a?blocking=true", "").refused(http.StatusInternalServerError, textInternal)
	assert.Contains(t, log.String(), "request panicked")
	got := s.do(http.MethodPost, "_/actions/seq?blocking=true", "").is(http.StatusInternalServerError)
	assert.Contains(t, got.body, `"response":{"result":{"error":"There was an internal server error."}`)
	assert.Contains(t, log.String(), "composition panicked")
	assert.Equal(t, "0", s.do(http.MethodGet, "/activation/count", "").body, "nothing is left")
}

func TestFullNodes(t *testing.T) {
	t.Parallel()
	const text = "System is overloaded, try again later."
	s := newServer(t, func(c *controller.Config) {
		c.Invoker = brokenInvoker{c.Invoker, whisk.Errorf(whisk.Unavailable, text)}
	})
	s.action("a", "echo it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/a"]}}`)
	s.put("_/triggers/t", `{}`)
	s.put("_/rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	for _, query := range []string{"", "?blocking=true"} {
		got := s.do(http.MethodPost, "_/actions/a"+query, "")
		got.refused(http.StatusServiceUnavailable, text)
		assert.Empty(t, got.header.Get("X-Openwhisk-Activation-Id"), "there is no activation")
	}
	assert.Equal(t, "0", s.do(http.MethodGet, "/activation/count", "").body)
	assert.Contains(t, s.do(http.MethodPost, "_/actions/seq?blocking=true", "").is(http.StatusInternalServerError).body, text)
	id := s.do(http.MethodPost, "_/triggers/t", "").is(http.StatusAccepted).field("activationId")
	whole, _ := s.store.Activation(t.Context(), whisk.Guest, whisk.ActivationID(id))
	require.NotNil(t, whole)
	assert.JSONEq(t, `{"statusCode":3,"success":false,"rule":"guest/r","action":"guest/a","error":"`+text+`"}`, whole.Logs[0])
}
