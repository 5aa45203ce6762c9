// Package fetch makes outbound HTTP requests from an action.
//
// A module that imports it runs only where the action has the capability "net",
// and reaches only the hosts that its policy allows. The host does the work:
// names, connections, TLS and redirects are its business, so the module stays
// small. Package nethttp offers the same to net/http, at the price of the 6 MB
// that net/http adds to a module. A native program uses net/http itself.
//
// While a request is under way nothing else in the module runs.
package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Request is what to send. The zero value of every field but URL is useful.
type Request struct {
	// Method is GET if empty.
	Method string
	// URL is absolute, http or https.
	URL    string
	Header map[string][]string
	Body   []byte
}

// Response is what came back. The caller closes the body.
type Response struct {
	Status int // such as 200
	// Header has its names in canonical form, such as "Content-Type".
	Header map[string][]string
	Body   io.ReadCloser
}

// Code says why there is no response, or no more of it.
type Code int32

// The codes of the host.
const (
	Invalid   Code = 1 // the request is malformed
	Denied    Code = 2 // the policy of the action does not allow it
	Limit     Code = 3 // too many open responses, or too long a response
	Timeout   Code = 4 // the context's deadline came first
	Failed    Code = 5 // name, connection, TLS, protocol
	BadHandle Code = 6 // the response was closed
)

// Error reports a request that failed. A native program has only [Failed].
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return "fetch: " + e.Text }

// Get asks for url.
func Get(ctx context.Context, url string) (*Response, error) {
	return Do(ctx, Request{URL: url})
}

// Do sends the request and returns when the header of the response is there.
// The error is an [Error], or the context's. Any status is a response.
func Do(ctx context.Context, req Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return do(ctx, req)
}

// wireRequest and wireHead are how host and guest describe messages.
type wireRequest struct {
	Method    string              `json:"method,omitempty"`
	URL       string              `json:"url"`
	Header    map[string][]string `json:"headers,omitempty"`
	TimeoutMS int64               `json:"timeout_ms,omitempty"`
}

type wireHead struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"headers"`
}

// encode describes the request; the body travels beside it.
func (r Request) encode(ctx context.Context) ([]byte, error) {
	return json.Marshal(wireRequest{r.Method, r.URL, r.Header, timeout(ctx)})
}

// timeout is what is left until the context's deadline in milliseconds, at
// least 1; 0 is none.
func timeout(ctx context.Context) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(1, time.Until(deadline).Milliseconds())
}

func decodeHead(text []byte) (wireHead, error) {
	var head wireHead
	if err := json.Unmarshal(text, &head); err != nil {
		return wireHead{}, fmt.Errorf("fetch: header of the response: %w", err)
	}
	return head, nil
}
