package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Code is what the HTTP functions answer, negated, instead of a handle or a
// length. The text of the error is read with whisk.http_error.
type Code int32

// The codes of the ABI.
const (
	CodeInvalid   Code = 1 // the request is malformed
	CodeDenied    Code = 2 // policy does not allow it
	CodeLimit     Code = 3 // too many exchanges open, or the response is too long
	CodeTimeout   Code = 4 // timeout_ms passed
	CodeFailed    Code = 5 // no answer: name, connection, TLS, protocol
	CodeBadHandle Code = 6 // no such exchange is open
)

var (
	errTimeout   = errors.New("the request took longer than its timeout_ms")
	errTooMany   = fmt.Errorf("more than %d exchanges open", MaxOpen)
	errBadHandle = errors.New("no such exchange is open")
)

// exchange is a request whose response is being read.
type exchange struct {
	head   []byte // status and header as JSON
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	cause  func() error // why the exchange was ended, nil while it was not
	timer  *time.Timer
}

// open sends a request and waits for the head of the response.
func (c *Client) open(ctx context.Context, text, body []byte) (*exchange, error) {
	r, err := parseRequest(text)
	if err != nil {
		return nil, err
	}
	timeout, err := r.timeout()
	if err != nil {
		return nil, err
	}
	own, x := newExchange(timeout)
	defer x.follow(ctx)()
	req, err := r.build(own, body)
	if err == nil {
		err = c.send(x, req)
	}
	if err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

func (c *Client) send(x *exchange, req *http.Request) error {
	if err := c.rules.checkURL(req.URL); err != nil {
		return err
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // closed with the exchange
	if err != nil {
		return x.explain(err)
	}
	x.body = http.MaxBytesReader(nil, resp.Body, MaxResponseBytes)
	x.head, err = json.Marshal(struct {
		Status int         `json:"status"`
		Header http.Header `json:"headers"`
	}{resp.StatusCode, resp.Header})
	return err
}

// newExchange starts the clock of an exchange. Its context has nothing of the call's:
// a guest reads the body in later ones, and package http goes on dialling for a
// request that was given up.
func newExchange(timeout time.Duration) (context.Context, *exchange) {
	own, cancel := context.WithCancelCause(context.Background())
	x := &exchange{
		body:   http.NoBody,
		cancel: cancel,
		cause:  func() error { return context.Cause(own) },
	}
	if timeout > 0 {
		x.timer = time.AfterFunc(timeout, func() { cancel(errTimeout) })
	}
	return own, x
}

// follow ends the exchange when ctx ends, until the function it returns is
// called: each call of the guest has a context of its own.
func (x *exchange) follow(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { x.cancel(context.Cause(ctx)) })
}

// read waits for some of the body and fills p with it; at the end it gives 0.
func (x *exchange) read(ctx context.Context, p []byte) (int, error) {
	defer x.follow(ctx)()
	for {
		n, err := x.body.Read(p)
		switch {
		case n > 0, errors.Is(err, io.EOF):
			return n, nil // an error beside bytes comes again
		case err != nil:
			return 0, x.explain(err)
		}
	}
}

// close ends the exchange. A body that was not read to its end takes its
// connection with it.
func (x *exchange) close() {
	if x.timer != nil {
		x.timer.Stop()
	}
	x.body.Close()
	x.cancel(nil)
}

// explain finds the reason behind an error of package http, which wraps it in
// the request's URL and in addresses of our network.
func (x *exchange) explain(err error) error {
	if cause := x.cause(); cause != nil {
		return cause
	}
	if denied, ok := errors.AsType[*deniedError](err); ok {
		return denied
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(dns.Err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// code classifies an error for the guest.
func code(err error) Code {
	if _, ok := errors.AsType[*invalidError](err); ok {
		return CodeInvalid
	}
	if _, ok := errors.AsType[*deniedError](err); ok {
		return CodeDenied
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return CodeLimit
	}
	switch {
	case errors.Is(err, errTooMany), errors.Is(err, errTooManyConnections):
		return CodeLimit
	case errors.Is(err, errTimeout):
		return CodeTimeout
	case errors.Is(err, errBadHandle):
		return CodeBadHandle
	}
	return CodeFailed
}
