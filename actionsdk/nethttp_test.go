//go:build !wasip1 && !race

package actionsdk_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/internal/guest"
)

// The race detector, for which a module with net/http is a long way to go, sees
// nothing of what happens in there.

func TestGuestUsesNetHTTP(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("a page. ", 10_000)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusTemporaryRedirect)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		w.Header().Set("X-Seen", r.Method+" "+r.URL.Path+" "+string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, page)
	}))
	defer site.Close()
	client, err := host.NewClient(host.Policy{
		Allow:        []string{"127.0.0.1"},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	defer client.Close()
	tpl := newTemplate(t, newModule(t, "web", guest.Reactor), sandbox.Policy{Capabilities: sandbox.Capabilities{HTTP: client}})

	out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{"url":"` + site.URL + `/from","body":"hello"}`)})
	require.NoError(t, out.Err)
	var got struct {
		Status string
		Length int
		Header http.Header
		Body   string
		Error  string
	}
	require.NoError(t, json.Unmarshal(out.Result, &got))
	require.Empty(t, got.Error)
	assert.Equal(t, "201 Created", got.Status)
	assert.Equal(t, len(page), got.Length)
	assert.Equal(t, "POST /to hello", got.Header.Get("X-Seen"))
	assert.True(t, got.Body == page, "the body is another")

	out = tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{"url":"http://192.0.2.1/"}`)})
	require.NoError(t, out.Err)
	assert.Contains(t, string(out.Result), "does not allow host 192.0.2.1")
}
