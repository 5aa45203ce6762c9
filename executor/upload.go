package executor

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// trustedBytes is how much of a body is made room for before any of it came.
const trustedBytes = 256 << 10

// uploads bounds the memory that the bodies being received take together.
type uploads struct {
	mu   sync.Mutex
	free int64
}

func (u *uploads) take(n int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > u.free {
		return false
	}
	u.free -= n
	return true
}

func (u *uploads) give(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.free += n
}

// receiver reads request bodies within limits.
type receiver struct {
	uploads *uploads
	timeout time.Duration
}

// receive reads a body of at most limit bytes, to be given back by free.
func (r *receiver) receive(c echo.Context, limit int64) (body []byte, free func(), err error) {
	req := c.Request()
	if req.ContentLength > limit {
		return nil, nil, tooLarge(req.ContentLength, limit)
	}
	expected := req.ContentLength
	if expected < 0 {
		expected = limit
	}
	if expected > trustedBytes {
		if !r.uploads.take(expected) {
			return nil, nil, &whisk.Error{Kind: whisk.Unavailable, Message: "The executor is receiving too much at once."}
		}
		free = func() { r.uploads.give(expected) }
	} else {
		free = func() {}
	}
	if body, err = r.read(req, limit); err != nil {
		free()
		return nil, nil, err
	}
	return body, free, nil
}

// read has the client send its body within the time allowed.
func (r *receiver) read(req *http.Request, limit int64) ([]byte, error) {
	conn := connOf(req.Context())
	conn.expectBody(r.timeout)
	body, err := readAll(req.Body, req.ContentLength, limit)
	if !conn.gotBody() && err == nil {
		err = brokenBody(os.ErrDeadlineExceeded)
	}
	return body, err
}

// readAll reads a body of n bytes, or of unknown length if n is negative. The
// length is believed up to trustedBytes, and beyond once those have come.
func readAll(from io.Reader, n, limit int64) ([]byte, error) {
	if n < 0 {
		return readUnknown(from, limit)
	}
	body := make([]byte, min(n, trustedBytes))
	got, err := io.ReadFull(from, body)
	if err == nil && n > trustedBytes {
		body = append(make([]byte, 0, n), body...)[:n]
		_, err = io.ReadFull(from, body[got:])
	}
	if err != nil {
		return nil, brokenBody(err)
	}
	return body, nil
}

func readUnknown(from io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, brokenBody(err)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(0, limit)
	}
	return body, nil
}

// brokenBody says that the client, not we, cut a request short.
func brokenBody(err error) error {
	message := "The request ended before its body was complete."
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		message = "The request did not arrive in time."
	}
	return &whisk.Error{Kind: whisk.BadRequest, Message: message}
}

func tooLarge(n, limit int64) error {
	return &whisk.Error{Kind: whisk.TooLarge, Message: whisk.TextRequestTooLarge(n, limit)}
}
