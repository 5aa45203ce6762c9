package controller_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

// FuzzRequests sends whatever to the API: it is never the platform's fault, and
// every refusal says why.
func FuzzRequests(f *testing.F) {
	s := newServer(f)
	s.action("a", "echo it")
	s.put("_/packages/p", `{}`)
	s.put("_/triggers/t", `{}`)
	s.put("_/rules/r", `{"trigger":"/_/t","action":"/_/a"}`)
	for _, c := range []struct{ path, query, body string }{
		{"actions/b", "overwrite=true", `{"exec":{"kind":"wasm:0.1","code":"x"},"limits":{"timeout":1e3}}`},
		{"actions/p/b", "", `{"exec":{"kind":"sequence","components":["/_/a"]},"annotations":[{"key":"k","value":null}]}`},
		{"actions/a", "blocking=true&timeout=5", `{"x":[1]}`},
		{"actions/p/", "limit=0&skip=1&count=1", ``},
		{"packages/q", "", `{"binding":{"namespace":"_","name":"p"}}`},
		{"packages/p", "force=true", ``},
		{"triggers/t", "", `{"annotations":[{"key":"feed","value":"/a/b"}]}`},
		{"rules/r", "", `{"status":"inactive","trigger":{"path":"_","name":"t"}}`},
		{"activations", "since=1&upto=2&name=p/a&docs=true", ``},
		{"activations/00000000000000000000000000000000/logs", "", ``},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
			f.Add(method, c.path, c.query, c.body)
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, s.url, strings.NewReader(body))
		if err != nil {
			return
		}
		req.URL.Path, req.URL.RawQuery = "/api/v1/namespaces/_/"+path, url.PathEscape(query)
		if q, err := url.ParseQuery(query); err == nil {
			req.URL.RawQuery = q.Encode()
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth(whisk.GuestKey().UUID, whisk.GuestKey().Secret)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Less(t, res.StatusCode, 500, "%s %s?%s %s: %s", method, path, query, body, answer)
		if res.StatusCode < 400 || method == http.MethodHead {
			return
		}
		var refusal struct{ Error, Code string }
		if res.Request.Method == method && json.Unmarshal(answer, &refusal) == nil {
			assert.NotEmpty(t, refusal.Error, "%s %s: %s", method, path, answer)
		}
	})
}
