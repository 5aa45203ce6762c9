package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxTimeout bounds timeout_ms; the activation's deadline comes sooner.
const maxTimeout = 24 * time.Hour

// invalidError says what is wrong with a request that a guest described.
type invalidError struct{ reason string }

func (e *invalidError) Error() string { return e.reason }

func invalid(format string, args ...any) error {
	return &invalidError{fmt.Sprintf(format, args...)}
}

// request is what a guest asks for, in the words of the ABI.
type request struct {
	Method    string      `json:"method"`
	URL       string      `json:"url"`
	Header    http.Header `json:"headers"`
	TimeoutMS int64       `json:"timeout_ms"`
}

// parseRequest reads a guest's request strictly: what this version does not
// know is an error rather than ignored.
func parseRequest(text []byte) (request, error) {
	if len(text) > MaxRequestBytes {
		return request{}, invalid("request of %d bytes exceeds the limit of %d bytes", len(text), MaxRequestBytes)
	}
	if !utf8.Valid(text) {
		return request{}, invalid("request is not UTF-8")
	}
	var r request
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return request{}, invalid("request: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return request{}, invalid("request: text after the object")
	}
	return r, nil
}

// build makes the request to send. The body is not kept by the caller's memory.
func (r request) build(ctx context.Context, body []byte) (*http.Request, error) {
	if len(body) > MaxBodyBytes {
		return nil, invalid("request body of %d bytes exceeds the limit of %d bytes", len(body), MaxBodyBytes)
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Hostname() == "" {
		return nil, invalid("url %q is not absolute", r.URL)
	}
	method, err := checkMethod(r.Method)
	if err != nil {
		return nil, err
	}
	header, err := checkHeader(r.Header)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(bytes.Clone(body)))
	if err != nil {
		return nil, invalid("request: %v", err)
	}
	req.Header = header
	return req, nil
}

// timeout is how long the exchange may take; 0 leaves it to the activation.
func (r request) timeout() (time.Duration, error) {
	if r.TimeoutMS < 0 || r.TimeoutMS > maxTimeout.Milliseconds() {
		return 0, invalid("timeout_ms %d is not from 0 to %d", r.TimeoutMS, maxTimeout.Milliseconds())
	}
	return time.Duration(r.TimeoutMS) * time.Millisecond, nil
}

// checkMethod refuses CONNECT and TRACE, and what is no method at all. The
// empty method is GET.
func checkMethod(method string) (string, error) {
	switch method {
	case "":
		return http.MethodGet, nil
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method, nil
	}
	return "", invalid("method %q is not allowed", method)
}

// checkHeader refuses what would change the framing of the message, name
// another host than the one that was checked, or concern one connection only.
func checkHeader(in http.Header) (http.Header, error) {
	out := make(http.Header, len(in)+1)
	count := 0
	for _, name := range slices.Sorted(maps.Keys(in)) {
		values, canonical := in[name], textproto.CanonicalMIMEHeaderKey(name)
		if !isToken(name) || slices.Contains(forbiddenHeaders(), canonical) {
			return nil, invalid("header %q may not be set", name)
		}
		if i := slices.IndexFunc(values, isBadValue); i >= 0 {
			return nil, invalid("header %q has a control character in its value", name)
		}
		if count += len(values); count > MaxHeaderValues {
			return nil, invalid("more than %d header values", MaxHeaderValues)
		}
		out[canonical] = append(out[canonical], values...)
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{"wasmwhisk"}
	}
	return out, nil
}

func forbiddenHeaders() []string {
	return []string{
		"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Expect",
		"Connection", "Keep-Alive", "Upgrade", "Http2-Settings",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	}
}

// isToken tells whether a header name is one in the sense of RFC 9110, 5.6.2.
func isToken(name string) bool {
	const separators = "\"(),/:;<=>?@[\\]{}"
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(separators, r)
	})
}

func isBadValue(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
