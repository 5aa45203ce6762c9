package controller

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// maxBodyBytes bounds any request, as OpenWhisk's HTTP layer does.
const maxBodyBytes = 50 << 20

// trustedBytes is how much of a body is made room for before any of it came.
const trustedBytes = 256 << 10

const typeWasm = "application/wasm"

// receiver reads the bodies of requests, within limits.
type receiver struct {
	timeout time.Duration // from a request's header to the end of its body

	mu   sync.Mutex
	free int64 // of what large bodies may take together
}

func newReceiver(timeout time.Duration, all int64) *receiver {
	return &receiver{timeout: timeout, free: all}
}

// reserve takes n bytes, to be given back by calling what it gives.
func (r *receiver) reserve(n int64) (func(), error) {
	if n <= trustedBytes {
		return func() {}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.free {
		return nil, whisk.Errorf(whisk.Unavailable, "The server is receiving too much at once.")
	}
	r.free -= n
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.free += n
	}, nil
}

// receive reads a body of at most limit bytes; release tells that it is no
// longer needed.
func (r *receiver) receive(c echo.Context, limit int64) (body []byte, release func(), err error) {
	length := c.Request().ContentLength
	switch {
	case length == 0:
		return nil, func() {}, nil
	case length > limit:
		return nil, nil, tooLarge(length, limit)
	case length < 0:
		length = limit
	}
	release, err = r.reserve(length)
	if err != nil {
		return nil, nil, err
	}
	if body, err = r.read(c, limit); err != nil {
		release()
		return nil, nil, err
	}
	return body, release, nil
}

// timely has a client send its body within the time allowed, whether a handler
// reads that or not: net/http reads what is left of a small one before it answers.
func (r *receiver) timely(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().ContentLength != 0 {
			if err := http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(r.timeout)); err != nil {
				return err
			}
		}
		return next(c)
	}
}

// read takes a body, and the bound on its time back then: what follows may take
// longer.
func (r *receiver) read(c echo.Context, limit int64) ([]byte, error) {
	body, err := readAll(c.Request(), limit)
	if err != nil {
		return nil, err
	}
	return body, http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
}

// readAll believes the length that was told up to trustedBytes, and beyond once
// those have come.
func readAll(req *http.Request, limit int64) ([]byte, error) {
	from := io.LimitReader(req.Body, limit+1)
	body := make([]byte, min(max(req.ContentLength, 512), trustedBytes))
	n, err := io.ReadFull(from, body)
	body = body[:n]
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(from)
		body = append(body, rest...)
	}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && int64(n) >= req.ContentLength:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, whisk.Errorf(whisk.BadRequest, "The request did not arrive in time.")
	default:
		return nil, whisk.Errorf(whisk.BadRequest, "The request ended before its body was complete.")
	}
	if int64(len(body)) > limit {
		return nil, tooLarge(0, limit)
	}
	return body, nil
}

func tooLarge(n, limit int64) error {
	return whisk.Errorf(whisk.TooLarge, "%s", whisk.TextRequestTooLarge(n, limit))
}

// mediaType is the content type of a request without its parameters.
func mediaType(req *http.Request) string {
	header := req.Header.Get(echo.HeaderContentType)
	if header == echo.MIMEApplicationJSON {
		return header
	}
	parsed, _, err := mime.ParseMediaType(header)
	if err != nil {
		return strings.ToLower(header)
	}
	return parsed
}

// wantJSON refuses a body that says that it is something else.
func wantJSON(req *http.Request) error {
	if media := mediaType(req); req.ContentLength != 0 && media != "" && media != echo.MIMEApplicationJSON {
		return whisk.Errorf(whisk.UnsupportedMedia, "The request's Content-Type is not supported. Expected:\napplication/json")
	}
	return nil
}

// decode reads the request's JSON body into v. An empty one is an error.
func (r *request) decode(v any) error {
	if err := wantJSON(r.Request()); err != nil {
		return err
	}
	body, release, err := r.controller.bodies.receive(r, maxBodyBytes)
	if err != nil {
		return err
	}
	defer release()
	if len(body) == 0 {
		return whisk.Malformed("Unexpected end-of-input at input index 0")
	}
	if err := wantText(body); err != nil {
		return err
	}
	return whisk.Decode(body, v)
}

// wantText refuses bytes that are not UTF-8, which would be kept and come out
// again as JSON that nobody can read.
func wantText(body []byte) error {
	if utf8.Valid(body) {
		return nil
	}
	return whisk.Malformed("The text is not UTF-8.")
}
