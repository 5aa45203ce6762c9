package executor

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/engine/abi"
	"wasmwhisk/whisk"
)

// finder finds the container that a request is for.
type finder interface {
	acquire(ctx context.Context) (*container, func(), error)
}

// alwaysSingle finds the one container there is.
type alwaysSingle struct{ container *container }

func (a alwaysSingle) acquire(context.Context) (*container, func(), error) {
	return a.container, func() {}, nil
}

// single is the front of one container, as an action container has it.
type single struct {
	e      *Executor
	finder finder
	router http.Handler
}

func newSingle(e *Executor, f finder) activator {
	front := e.newEcho()
	s := single{e, f, front}
	front.POST("/init", e.gated(s.init))
	front.POST("/run", func(c echo.Context) error { return e.receiveRun(c.Response(), c.Request(), s, "") })
	front.POST("/", e.gated(s.entry))
	return s
}

// ServeHTTP serves activations itself, as the multiplexed front does.
func (s single) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.e.activateOr(s.router, s, w, r)
}

// activationAt knows /run, of a container without an id.
func (s single) activationAt(path string) (id string, ok bool) { return "", path == "/run" }

func (s single) init(c echo.Context) error {
	return s.receiveUpload(c, func(ct *container, body []byte) error {
		return s.e.serveInit(c, ct, decoderOf(body))
	})
}

// receiveUpload reads a body that may bring code, for as long as serve takes.
func (s single) receiveUpload(c echo.Context, serve func(ct *container, body []byte) error) error {
	ct, release, err := s.finder.acquire(c.Request().Context())
	if err != nil {
		return err
	}
	defer release()
	received, err := s.e.receiveUpload(c.Request())
	if err != nil {
		return err
	}
	defer received.free()
	return serve(ct, received.body)
}

func (s single) activate(ctx context.Context, _ string, serve func(context.Context, *container) error) error {
	if !s.e.gate.enter() {
		return errDraining()
	}
	defer s.e.gate.leave()
	ct, release, err := s.finder.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return serve(ctx, ct)
}

// entry is OpenWhisk's single entry point, for platforms that know no other: one
// body initializes the container, activates it, or both.
func (s single) entry(c echo.Context) error {
	return s.receiveUpload(c, func(ct *container, body []byte) error {
		req, err := decodeEntry(body)
		if err != nil {
			return err
		}
		return s.enter(c, ct, req)
	})
}

func (s single) enter(c echo.Context, ct *container, req entryRequest) error {
	decodeInit := func() (initRequest, error) { return decodeInitValue(req.init) }
	if req.init == nil {
		return s.e.serveRun(c.Request().Context(), c.Response(), ct, req.decodeRun)
	}
	if req.activation == nil && req.value == nil {
		return s.e.serveInit(c, ct, decodeInit)
	}
	if err := s.e.observedInit(c, ct, decodeInit); err != nil {
		return err
	}
	return s.e.serveRun(c.Request().Context(), c.Response(), ct, req.decodeRun)
}

// entryRequest is the body of a POST /; fields that were not sent are nil.
type entryRequest struct{ init, activation, value json.RawMessage }

func decodeEntry(body []byte) (entryRequest, error) {
	var req entryRequest
	err := members(body, func(key string, raw json.RawMessage) error {
		switch key {
		case "init":
			req.init = raw
		case "activation":
			req.activation = raw
		case "value":
			req.value = raw
		}
		return nil
	})
	if err == nil && req.init == nil && req.activation == nil && req.value == nil {
		return req, whisk.Errorf(whisk.BadRequest, "The request has none of init, activation and value.")
	}
	return req, unreadable(err)
}

// decodeRun takes an activation out of its two parts. A deadline in the past is
// none: outside OpenWhisk that field holds whatever its sender had to put there.
func (r entryRequest) decodeRun() (runRequest, error) {
	req := runRequest{input: json.RawMessage("{}"), context: make(abi.Context, 0, 8)}
	if r.value != nil {
		if err := req.setInput(r.value); err != nil {
			return req, err
		}
	}
	if r.activation == nil {
		return req, nil
	}
	err := members(r.activation, func(key string, raw json.RawMessage) error {
		if key == "value" {
			return nil
		}
		return req.add(key, text(raw))
	})
	if req.deadline.Before(time.Now()) {
		req.deadline = time.Time{}
	}
	return req, unreadable(err)
}
