package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/actionsdk/fetch"
)

func TestDo(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("X-Sent"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "got %q", body)
	}))
	defer server.Close()

	resp, err := fetch.Do(t.Context(), fetch.Request{
		Method: http.MethodPut, URL: server.URL, Header: map[string][]string{"X-Sent": {"yes"}}, Body: []byte("hello"),
	})
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusTeapot, resp.Status)
	assert.Equal(t, []string{"PUT yes"}, resp.Header["X-Seen"])
	assert.Equal(t, `got "hello"`, string(body))
}

func TestDoErrors(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tc := range []struct {
		name string
		req  fetch.Request
		want fetch.Code
	}{
		{"no method", fetch.Request{Method: "a b", URL: closed.URL}, fetch.Invalid},
		{"no URL", fetch.Request{URL: "http://a b"}, fetch.Invalid},
		{"nobody there", fetch.Request{URL: closed.URL}, fetch.Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := fetch.Do(t.Context(), tc.req)
			failed, ok := errors.AsType[*fetch.Error](err)
			require.True(t, ok, "Do(%+v) = %v, want a fetch.Error", tc.req, err)
			assert.Equal(t, tc.want, failed.Code)
			assert.Contains(t, failed.Error(), "fetch: ")
		})
	}
}

func TestGetEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := fetch.Get(ctx, server.URL)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = fetch.Get(ctx, server.URL)
	assert.ErrorIs(t, err, context.Canceled, "with a context that has ended")
}
