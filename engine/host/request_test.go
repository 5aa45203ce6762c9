package host

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{HTTP: newTestClient(t, Policy{Allow: []string{"*"}})})
	g.mem = make([]byte, 256<<10)
	header := func(name, value string) string {
		text, err := json.Marshal(request{URL: "http://example.org", Header: http.Header{name: {value}}})
		require.NoError(t, err)
		return string(text)
	}
	for text, want := range map[string]string{
		"":                                    "request: EOF",
		"{":                                   "unexpected EOF",
		"[]":                                  "cannot unmarshal array",
		"{} {}":                               "text after the object",
		"{\"url\":\"http://\xff\"}":           "not UTF-8",
		`{"url":"http://a","cookie":1}`:       "unknown field",
		`{"url":"http://a","headers":[]}`:     "cannot unmarshal array",
		`{"url":"/path"}`:                     "not absolute",
		`{"url":"http://a b"}`:                "not absolute",
		`{"url":"mailto:a@b"}`:                "not absolute",
		`{"url":"http://:80"}`:                "not absolute",
		`{"url":"http://a","method":"get"}`:   `method "get" is not allowed`,
		`{"url":"http://a","method":"TRACE"}`: `method "TRACE" is not allowed`,
		`{"url":"http://a:1","method":"CONNECT"}`:               `method "CONNECT" is not allowed`,
		`{"url":"http://a","method":"GET / HTTP/1.1\r\nHost:"}`: "is not allowed",
		`{"url":"http://a","timeout_ms":-1}`:                    "timeout_ms -1",
		`{"url":"http://a","timeout_ms":9223372036854775807}`:   "timeout_ms 9223372036854775807",
		`{"url":"http://a","timeout_ms":0.5}`:                   "cannot unmarshal number",
		header("host", "b"):                                     `header "host" may not be set`,
		header("Content-Length", "1"):                           "may not be set",
		header("transfer-encoding", "chunked"):                  "may not be set",
		header("Connection", "x"):                               "may not be set",
		header("Expect", "100-continue"):                        "may not be set",
		header("Proxy-Authorization", "x"):                      "may not be set",
		header("", "x"):                                         "may not be set",
		header("a b", "x"):                                      "may not be set",
		header("a:b", "x"):                                      "may not be set",
		header("x\r\ny", "x"):                                   "may not be set",
		header("é", "x"):                                        "may not be set",
		header("x", "a\r\nb: c"):                                "control character",
		header("x", "\x00"):                                     "control character",
		`{"url":"http://a","headers":{"x":["` + strings.Repeat(`","`, MaxHeaderValues) + `"]}}`: "more than 100 header values",
		`{"url":"http://a/` + strings.Repeat("x", MaxRequestBytes) + `"}`:                       "exceeds the limit",
	} {
		n := copy(g.mem, text)
		assert.Equal(t, -int32(CodeInvalid), g.call("whisk.http_request", 0, uint32(n), 0, 0), "%.80s", text)
		buf := uint32(128 << 10)
		m := g.call("whisk.http_error", buf, maxErrorBytes)
		assert.Contains(t, string(g.mem[buf:][:m]), want, "%.80s", text)
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{HTTP: newTestClient(t, Policy{Allow: []string{"*"}})})
	g.mem = make([]byte, MaxBodyBytes+1)
	n := copy(g.mem, `{"url":"http://example.org"}`)
	assert.Equal(t, -int32(CodeInvalid), g.call("whisk.http_request", 0, uint32(n), 0, MaxBodyBytes+1))
	assert.Contains(t, g.lastError(), "request body of 8388609 bytes")
}

// FuzzRequest holds what a guest may describe against what may be sent.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"method":"POST","url":"https://user:pw@example.org:8443/a?b#c","headers":{"x-a":["b","c"]},"timeout_ms":5}`))
	f.Add([]byte(`{"url":"http://[::1%25eth0]:80","headers":{"Host":["x"]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRequest(text)
		if err != nil {
			return
		}
		req, err := r.build(t.Context(), nil)
		if err != nil {
			return
		}
		assert.NotEmpty(t, req.URL.Host)
		assert.Equal(t, req.URL.Host, req.Host)
		for name := range req.Header {
			assert.Equal(t, http.CanonicalHeaderKey(name), name)
			assert.NotContains(t, forbiddenHeaders(), name)
		}
		var wire strings.Builder
		if err := req.Write(&wire); err == nil {
			head, _, _ := strings.Cut(wire.String(), "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			values := 0
			for _, v := range req.Header {
				values += len(v)
			}
			assert.LessOrEqual(t, len(lines), 1+1+values+2, "lines of %q: request, host, headers, length or authorization", head)
		}
	})
}
