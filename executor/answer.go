package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/whisk"
)

// textInternal is all that a caller learns of a fault of ours; the log has more.
const textInternal = "internal error"

// statusOf is the one table from kinds of error to HTTP.
func statusOf(kind whisk.ErrorKind) int {
	switch kind {
	case whisk.BadRequest:
		return http.StatusBadRequest
	case whisk.Forbidden:
		return http.StatusForbidden
	case whisk.NotFound:
		return http.StatusNotFound
	case whisk.Unsupported:
		return http.StatusMethodNotAllowed
	case whisk.TooLarge:
		return http.StatusRequestEntityTooLarge
	case whisk.TooManyRequests:
		return http.StatusTooManyRequests
	case whisk.ActionFault:
		return http.StatusBadGateway
	case whisk.Unavailable:
		return http.StatusServiceUnavailable
	default: // NotReady and Internal, too
		return http.StatusInternalServerError
	}
}

// refusal gives an error the form in which its caller gets it.
func refusal(err error) *whisk.Error {
	if refused, ok := errors.AsType[*whisk.Error](err); ok {
		return refused
	}
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch routing.Code {
		case http.StatusNotFound:
			return &whisk.Error{Kind: whisk.NotFound, Message: "The requested resource does not exist."}
		case http.StatusMethodNotAllowed:
			return &whisk.Error{Kind: whisk.Unsupported, Message: "HTTP method not allowed."}
		}
	}
	return &whisk.Error{Kind: whisk.Internal, Message: textInternal}
}

func publicText(err error) string { return refusal(err).Message }

// fail is the error handler of every front's router.
func (e *Executor) fail(err error, c echo.Context) {
	if !c.Response().Committed {
		e.refuse(c.Response(), c.Request(), err)
	}
}

// refusal gives an error the form in which its caller gets it, and tells the log
// what the caller does not learn.
func (e *Executor) refusal(ctx context.Context, path string, err error) *whisk.Error {
	refused := refusal(err)
	if refused.Kind == whisk.Internal && ctx.Err() == nil {
		e.config.Logger.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("path", shorten(path)), slog.Any("error", err))
	}
	return refused
}

// refuse answers with an error.
func (e *Executor) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused := e.refusal(r.Context(), r.URL.Path, err)
	if refused.Kind == whisk.Unavailable {
		w.Header().Set("Connection", "close")
	}
	_ = answer(w, statusOf(refused.Kind), errorBody(refused.Message))
}

// errorBody leaves characters as they are that JSON allows and HTML does not:
// clients show the text.
func errorBody(message string) []byte {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct { // cannot fail
		Error string `json:"error"`
	}{message})
	return bytes.TrimSuffix(body.Bytes(), []byte("\n"))
}

// answer sends a JSON body, with its length: invokers take nothing chunked.
func answer(w http.ResponseWriter, status int, body []byte) error {
	return respond(w, status, echo.MIMEApplicationJSON, body)
}

// selfMeasured is up to where net/http finds the length of a body itself, at
// less cost.
const selfMeasured = 2 << 10

func respond(w http.ResponseWriter, status int, contentType string, body []byte) error {
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	if len(body) >= selfMeasured {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // if that fails the client is gone, and nobody is there to tell
	return nil
}

// result is the body of a /run that gave one.
func (e *Executor) result(out sandbox.Outcome) []byte {
	if !e.config.WowEnvelope {
		return out.Result
	}
	status := whisk.Status(out.Status)
	body := append([]byte(nil), `{"status":"`+status.String()+`","status_code":`...)
	body = strconv.AppendInt(body, int64(status), 10)
	body = append(body, `,"success":`...)
	body = strconv.AppendBool(body, status == whisk.Success)
	body = append(body, `,"result":`...)
	return append(append(body, out.Result...), '}')
}
