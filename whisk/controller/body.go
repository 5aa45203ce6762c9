package controller

import (
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"wasmwhisk/internal/bodies"
	"wasmwhisk/whisk"
)

// maxBodyBytes bounds any request, as OpenWhisk's HTTP layer does.
const maxBodyBytes = 50 << 20

const typeWasm = "application/wasm"

// receiver reads the bodies of requests, within limits.
type receiver struct {
	timeout time.Duration // from a request's header to the end of its body
	uploads *bodies.Budget
}

func newReceiver(timeout time.Duration, all int64) *receiver {
	return &receiver{timeout: timeout, uploads: bodies.NewBudget(all)}
}

// receive reads a body of at most limit bytes; release tells that it is no
// longer needed.
func (r *receiver) receive(c echo.Context, limit int64) (body []byte, release func(), err error) {
	length := c.Request().ContentLength
	if length == 0 {
		return nil, func() {}, nil
	}
	taken, err := r.uploads.Reserve(length, limit)
	if err != nil {
		return nil, nil, err
	}
	release = func() { r.uploads.Release(taken) }
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
	body, err := bodies.Read(c.Request().Body, c.Request().ContentLength, limit, func([]byte) {})
	if err != nil {
		return nil, err
	}
	return body, http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
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
