//go:build !wasip1

package fetch

import (
	"bytes"
	"context"
	"net/http"
)

func do(ctx context.Context, req Request) (*Response, error) {
	out, err := http.NewRequestWithContext(ctx, req.Method, req.URL, bytes.NewReader(req.Body))
	if err != nil {
		return nil, &Error{Code: Invalid, Text: err.Error()}
	}
	if req.Header != nil {
		out.Header = req.Header
	}
	resp, err := http.DefaultClient.Do(out) //nolint:bodyclose // it is the caller's
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
		return nil, ctxErr
	}
	if err != nil {
		return nil, &Error{Code: Failed, Text: err.Error()}
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: resp.Body}, nil
}
