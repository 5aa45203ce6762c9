package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// The texts of refusals that clients and their tests know.
const (
	textNoRoute    = "The requested resource could not be found."
	textNotFound   = "The requested resource does not exist."
	textExists     = "resource already exists"
	textConflict   = "Concurrent modification to resource detected."
	textOtherKind  = "Resource by this name exists but is not in this collection."
	textInternal   = "There was an internal server error."
	textLongURI    = "URI length exceeds the configured limit of %d characters"
	textMethod     = "HTTP method not allowed, supported methods: %s"
	textOnBinding  = "Operation not permitted on package binding."
	textNotAllowed = "Request defines parameters that are not allowed (e.g., reserved properties)."
	textBadTimeout = "Timeout must be number of milliseconds up to %d."
)

// refusal is an answer that says why not.
type refusal struct {
	status  int
	message string
}

// refusalOf gives an error the form in which its caller gets it. It is the one
// table from errors to answers.
func refusalOf(err error) refusal {
	if refused, ok := errors.AsType[*whisk.Error](err); ok {
		return refusal{refused.Kind.HTTPStatus(), refused.Message}
	}
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		return refusal{routing.Code, fmt.Sprint(routing.Message)}
	}
	for _, known := range []struct {
		err error
		refusal
	}{
		{store.ErrNotFound, refusal{http.StatusNotFound, textNotFound}},
		{store.ErrExists, refusal{http.StatusConflict, textExists}},
		{store.ErrConflict, refusal{http.StatusConflict, textConflict}},
		{store.ErrOtherKind, refusal{http.StatusConflict, textOtherKind}},
	} {
		if errors.Is(err, known.err) {
			return known.refusal
		}
	}
	return refusal{http.StatusInternalServerError, textInternal}
}

// routingRefusal puts OpenWhisk's texts in the place of the router's.
func routingRefusal(c echo.Context, err error) error {
	switch routing, _ := errors.AsType[*echo.HTTPError](err); {
	case routing == nil:
		return err
	case routing.Code == http.StatusNotFound:
		return echo.NewHTTPError(http.StatusNotFound, textNoRoute)
	case routing.Code == http.StatusMethodNotAllowed:
		return echo.NewHTTPError(http.StatusMethodNotAllowed, fmt.Sprintf(textMethod, supported(c)))
	default:
		return err
	}
}

// supported are the methods of a path, but for those that every path has.
func supported(c echo.Context) string {
	allowed, _ := c.Get(echo.ContextKeyHeaderAllow).(string)
	methods := slices.DeleteFunc(strings.Split(allowed, ", "), func(m string) bool {
		return m == http.MethodOptions || m == http.MethodHead
	})
	return strings.Join(methods, ", ")
}

// errorBody is what clients show: wsk wants both fields.
type errorBody struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// fail answers with an error. It is the error handler of the front.
func (c *Controller) fail(err error, e echo.Context) {
	answer := refusalOf(routingRefusal(e, err))
	if answer.status == http.StatusInternalServerError && e.Request().Context().Err() == nil {
		c.config.Logger.Error("request failed", slog.String("path", e.Path()),
			slog.String("transaction", transactionOf(e)), slog.Any("error", err))
	}
	if answer.status == http.StatusTooManyRequests {
		holdUp(e.Request().Context())
	}
	_ = sendJSON(e, answer.status, errorBody{answer.message, transactionOf(e)})
}

// refusalTakes is how long somebody waits to hear that it was too much.
const refusalTakes = 10 * time.Millisecond

// holdUp keeps whoever asks for too much from asking again at once: a flood that is
// refused as fast as it comes takes the processors from everybody else.
func holdUp(ctx context.Context) {
	timer := time.NewTimer(refusalTakes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sendJSON answers with the JSON of v.
func sendJSON(c echo.Context, status int, v any) error {
	body, err := whisk.Encode(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return send(c, status, echo.MIMEApplicationJSON, body)
}

func send(c echo.Context, status int, contentType string, body []byte) error {
	res := c.Response()
	if res.Committed {
		return nil
	}
	res.Header().Set(echo.HeaderContentType, contentType)
	res.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	res.WriteHeader(status)
	_, _ = res.Write(body) // if that fails the client is gone, and nobody is there to tell
	return nil
}

func (r *request) ok(v any) error { return sendJSON(r, http.StatusOK, v) }
