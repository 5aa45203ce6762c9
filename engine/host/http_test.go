package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Many", "1")
		w.Header().Add("X-Many", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.URL, r.Header.Get("X-In"), r.UserAgent(), body)
	})
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})

	handle := g.request(request{Method: "PUT", URL: server.URL + "/a?b=c", Header: http.Header{"x-in": {"<in>"}}}, "payload")
	require.Positive(t, handle, g.lastError())
	h := g.head(handle)
	assert.Equal(t, http.StatusTeapot, h.Status)
	assert.Equal(t, []string{"1", "2"}, h.Header["X-Many"])
	body, end := g.body(handle)
	assert.Zero(t, end)
	assert.Equal(t, `PUT /a?b=c <in> "wasmwhisk" payload`, body)
	assert.Zero(t, g.call("whisk.http_read", uint32(handle), scratch, 8), "the end stays the end")
}

func TestHeadIsWrittenOnlyWhereItFits(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
	handle := uint32(g.request(request{URL: server.URL}, ""))
	n := g.call("whisk.http_head", handle, 0, 0)
	require.Greater(t, n, int32(10))

	clear(g.mem)
	assert.Equal(t, n, g.call("whisk.http_head", handle, scratch, uint32(n-1)))
	assert.Zero(t, g.mem[scratch], "written although it does not fit")
	assert.Equal(t, n, g.call("whisk.http_head", handle, scratch, uint32(n)))
	assert.Equal(t, byte('{'), g.mem[scratch])
}

func TestBodyIsStreamed(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "second")
	})
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
	handle := g.request(request{URL: server.URL}, "")
	assert.Equal(t, int32(5), g.call("whisk.http_read", uint32(handle), scratch, scratchLen))
	assert.Zero(t, g.call("whisk.http_read", uint32(handle), scratch, 0), "no room is not the end")
	close(more)
	rest, end := g.body(handle)
	assert.Zero(t, end)
	assert.Equal(t, "second", rest)
}

func TestResponseIsCapped(t *testing.T) {
	t.Parallel()
	for extra, want := range map[int]int32{0: 0, 1: -int32(CodeLimit)} {
		t.Run(fmt.Sprint(extra), func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				chunk := make([]byte, 1<<20)
				for range MaxResponseBytes >> 20 {
					w.Write(chunk)
				}
				w.Write(make([]byte, extra))
			})
			g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
			body, end := g.body(g.request(request{URL: server.URL}, ""))
			assert.Equal(t, want, end, g.lastError())
			assert.Len(t, body, MaxResponseBytes)
		})
	}
}

func TestResponseHeadIsCapped(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Big", strings.Repeat("x", MaxHeadBytes+4096))
	})
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
	assert.Equal(t, -int32(CodeFailed), g.request(request{URL: server.URL}, ""))
	assert.Contains(t, g.lastError(), "headers exceeded")
}

func TestHandlesAreBoundedAndNeverReused(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
	for i := range MaxOpen {
		require.Equal(t, int32(i+1), g.request(request{URL: server.URL}, ""))
	}
	assert.Equal(t, -int32(CodeLimit), g.request(request{URL: server.URL}, ""))
	assert.Zero(t, g.call("whisk.http_close", 1))
	assert.Equal(t, int32(MaxOpen+1), g.request(request{URL: server.URL}, ""))

	for _, handle := range []int32{1, 0, -1, 99} {
		assert.Equal(t, -int32(CodeBadHandle), g.call("whisk.http_close", uint32(handle)))
		assert.Equal(t, -int32(CodeBadHandle), g.call("whisk.http_head", uint32(handle), 0, 0))
		assert.Equal(t, -int32(CodeBadHandle), g.call("whisk.http_read", uint32(handle), 0, 1))
	}
}

// stuckServer sends a header, or not even that, and then waits until its client goes.
type stuckServer struct {
	url   string
	asked chan struct{} // closed when it has a request
	gone  chan struct{} // closed when the client of that went
}

func stuck(t *testing.T, first string) stuckServer {
	t.Helper()
	s := stuckServer{asked: make(chan struct{}), gone: make(chan struct{})}
	s.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(s.gone)
		close(s.asked)
		if first != "" {
			io.WriteString(w, first)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}).URL
	return s
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	t.Run("head", func(t *testing.T) {
		t.Parallel()
		server := stuck(t, "")
		g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
		assert.Equal(t, -int32(CodeTimeout), g.request(request{URL: server.url, TimeoutMS: 20}, ""))
		assert.Equal(t, errTimeout.Error(), g.lastError())
		select {
		case <-server.asked:
			<-server.gone
		default: // the time was over before
		}
	})
	t.Run("body", func(t *testing.T) {
		t.Parallel()
		server := stuck(t, "x")
		g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
		handle := g.request(request{URL: server.url, TimeoutMS: 2000}, "")
		require.Positive(t, handle, g.lastError())
		body, end := g.body(handle)
		assert.Equal(t, "x", body)
		assert.Equal(t, -int32(CodeTimeout), end)
		<-server.gone
	})
}

func TestEndOfActivationStopsGuest(t *testing.T) {
	t.Parallel()
	why := errors.New("activation is over")
	t.Run("head", func(t *testing.T) {
		t.Parallel()
		server := stuck(t, "")
		g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
		ctx, cancel := context.WithCancelCause(g.ctx)
		go func() {
			<-server.asked
			cancel(why)
		}()
		g.ctx = ctx
		n := copy(g.mem, `{"url":"`+server.url+`"}`)
		_, err := g.try("whisk.http_request", 0, uint32(n), 0, 0)
		assert.Equal(t, why, err)
		<-server.gone
	})
	t.Run("body, in a later call", func(t *testing.T) {
		t.Parallel()
		server := stuck(t, "x")
		g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
		opening, done := context.WithCancel(g.ctx)
		later := g.ctx
		g.ctx = opening
		handle := uint32(g.request(request{URL: server.url}, ""))
		done() // the call that opened it returned

		ctx, cancel := context.WithCancelCause(later)
		g.ctx = ctx
		assert.Equal(t, int32(1), g.call("whisk.http_read", handle, scratch, 8))
		cancel(why)
		_, err := g.try("whisk.http_read", handle, scratch, 8)
		assert.Equal(t, why, err)
		<-server.gone
	})
}

func TestCloseEndsWhatTheGuestLeftOpen(t *testing.T) {
	t.Parallel()
	server := stuck(t, "x")
	s := NewSystem(Config{HTTP: newTestClient(t, loopback())})
	g := newGuest(t, Config{})
	g.ctx = NewContext(t.Context(), s)
	require.Positive(t, g.request(request{URL: server.url}, ""), g.lastError())
	s.Close()
	<-server.gone
	s.Close()
	assert.Equal(t, -int32(CodeBadHandle), g.call("whisk.http_read", 1, 0, 1))
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{HTTP: newTestClient(t, loopback())})
	assert.Equal(t, -int32(CodeFailed), g.request(request{URL: "http://" + closedPort(t)}, ""))
	assert.Contains(t, g.lastError(), "connection refused")
	assert.NotContains(t, g.lastError(), "127.0.0.1")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	_, otherPort, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/loop":
			hits.Add(1)
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/port":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/scheme":
			http.Redirect(w, r, "ftp://127.0.0.1/", http.StatusFound)
		case "/address":
			http.Redirect(w, r, "http://127.0.0.2:"+otherPort, http.StatusFound)
		default:
			io.WriteString(w, "end"+r.Referer())
		}
	})
	p := loopback()
	p.Deny = []string{strings.TrimPrefix(other.URL, "http://")}
	g := newGuest(t, Config{HTTP: newTestClient(t, p)})

	assert.Equal(t, "end", g.get(server.URL+"/ok"))
	g.denied(server.URL+"/port", "does not allow host")
	g.denied(server.URL+"/scheme", "scheme")
	g.denied(server.URL+"/address", "resolves to an address")
	assert.Zero(t, hits.Load(), "requests that a redirect led to a denied place")
	assert.Equal(t, -int32(CodeFailed), g.request(request{URL: server.URL + "/loop"}, ""))
	assert.Contains(t, g.lastError(), "more than 5 redirects")
	assert.Equal(t, int32(MaxRedirects+1), hits.Load())
}

func TestNothingIsCarriedOver(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "secret"})
		fmt.Fprintf(w, "%q %q", r.Header.Get("Cookie"), r.Header.Get("Authorization"))
	})
	client := newTestClient(t, loopback())
	first := newGuest(t, Config{HTTP: client})
	handle := first.request(request{URL: server.URL, Header: http.Header{"Authorization": {"mine"}}}, "")
	body, _ := first.body(handle)
	assert.Equal(t, `"" "mine"`, body)
	assert.Equal(t, `"" ""`, first.get(server.URL), "cookies of an earlier answer")
	assert.Equal(t, `"" ""`, newGuest(t, Config{HTTP: client}).get(server.URL), "anything of another activation")
}

func TestClientTakesNothingFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, Policy{})
	assert.Nil(t, c.http.Transport.(*http.Transport).Proxy)
	assert.Nil(t, c.http.Jar)
}
