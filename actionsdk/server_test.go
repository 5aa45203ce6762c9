//go:build !wasip1

package actionsdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// container is a server on a loopback port, and its logs.
type container struct {
	url            string
	stdout, stderr *bytes.Buffer // to be read when nothing runs
	stop           func() error
}

func newContainer(t *testing.T, handler Handler) *container {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	c := &container{
		url:    "http://" + listener.Addr().String(),
		stdout: new(bytes.Buffer),
		stderr: new(bytes.Buffer),
	}
	ended := make(chan error, 1)
	go func() { ended <- newServer(handler, c.stdout, c.stderr).serve(ctx, listener) }()
	c.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		assert.NoError(t, c.stop())
	})
	return c
}

// post sends a body and gives status and body of the answer.
func (c *container) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(c.url+path, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, int64(len(answer)), resp.ContentLength, "Content-Length")
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	return resp.StatusCode, string(answer)
}

func (c *container) run(t *testing.T, do, arg string) (int, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"value": map[string]string{"do": do, "arg": arg}})
	require.NoError(t, err)
	return c.post(t, "/run", string(body))
}

func TestServerRun(t *testing.T) {
	t.Parallel()
	const noDictionary = `{"error":"The action did not return a dictionary or array."}` + "\n"
	long := `["` + strings.Repeat("x", 10_000) + `"]` // Go would send it in chunks
	for _, tc := range []struct {
		name, do, arg string
		status        int
		want          string
	}{
		{"object", "answer", `{"a":"<b>"}`, 200, `{"a":"<b>"}`},
		{"array", "answer", `[1,2]`, 200, `[1,2]`},
		{"long", "answer", long, 200, long},
		{"nothing", "answer", ``, 200, `{}`},
		{"error", "fail", `<no> "name"`, 200, `{"error":"<no> \"name\""}`},
		{"number", "answer", `17`, 502, noDictionary},
		{"null", "answer", `null`, 502, noDictionary},
		{"broken", "answer", `{"a":`, 502, noDictionary},
		{"panic", "panic", `lost my head`, 502, `{"error":"An error has occurred: lost my head"}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, probe)
			status, answer := c.run(t, tc.do, tc.arg)
			assert.Equal(t, tc.status, status)
			assert.Equal(t, tc.want, answer)
			require.NoError(t, c.stop())
			assert.Equal(t, sentinel, c.stdout.String())
			assert.Equal(t, 1, strings.Count(c.stderr.String(), sentinel))
		})
	}
}

func TestServerRefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/init", "/run"} {
		for _, body := range []string{"", "hello", `[]`, `{"value":`} {
			c := newContainer(t, probe)
			status, answer := c.post(t, path, body)
			assert.Equal(t, http.StatusBadRequest, status, "POST %s %q", path, body)
			assert.Contains(t, answer, `{"error":"Error unmarshaling request: `, "POST %s %q", path, body)
			require.NoError(t, c.stop())
			assert.Equal(t, sentinel, c.stdout.String(), "POST %s %q", path, body)
			assert.Equal(t, sentinel, c.stderr.String(), "POST %s %q", path, body)
		}
	}
}

func TestServerInitialisesOnce(t *testing.T) {
	t.Parallel()
	c := newContainer(t, probe)
	status, answer := c.post(t, "/init", `{"value":{"code":"bm90IHVzZWQ=","binary":true,"main":"main"}}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, `{"ok":true}`+"\n", answer)

	const text = "Cannot initialize the action more than once."
	status, answer = c.post(t, "/init", `{"value":{}}`)
	assert.Equal(t, http.StatusForbidden, status)
	assert.Equal(t, `{"error":"`+text+`"}`+"\n", answer)

	status, _ = c.run(t, "answer", "{}")
	assert.Equal(t, http.StatusOK, status, "after a refused init")
	require.NoError(t, c.stop())
	assert.Equal(t, sentinel, c.stdout.String())
	assert.Equal(t, text+"\n"+sentinel, c.stderr.String())
}

func TestServerCanBeInitialisedAfterAFailure(t *testing.T) {
	t.Parallel()
	c := newContainer(t, probe)
	status, _ := c.post(t, "/init", "hello")
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = c.post(t, "/init", "{}")
	assert.Equal(t, http.StatusOK, status)
}

// Not parallel: the environment is the process's.
func TestServerEnvironment(t *testing.T) {
	t.Setenv("__OW_API_HOST", "https://example.org")
	for _, name := range []string{"SDK_TEXT", "SDK_NULL", "SDK_NUMBER", "SDK_OBJECT"} {
		t.Setenv(name, "before") // put back in the end
	}
	c := newContainer(t, probe)
	c.post(t, "/init", `{"value":{"env":{"SDK_TEXT":"a\nb","SDK_NULL":null,"SDK_NUMBER":1.50,"SDK_OBJECT":{"a": [1]}}}}`)

	env := func(name, fields string) string {
		_, answer := c.post(t, "/run", `{"value":{"do":"env","arg":"`+name+`"}`+fields+`}`)
		var out struct{ Env string }
		require.NoError(t, json.Unmarshal([]byte(answer), &out))
		return out.Env
	}
	for _, tc := range []struct{ name, fields, want string }{
		{"SDK_TEXT", "", "a\nb"},
		{"SDK_NULL", "", ""},
		{"SDK_NUMBER", "", "1.50"},
		{"SDK_OBJECT", "", `{"a":[1]}`},
		{"__OW_ACTIVATION_ID", `,"activation_id":"abc"`, "abc"},
		{"__OW_ACTIVATION_ID", "", ""},
		{"__OW_DEADLINE", `,"deadline":1690000000000`, "1690000000000"},
		{"__OW_API_HOST", `,"api_host":"http://other"`, "http://other"},
		{"__OW_API_HOST", "", "https://example.org"},
		{"__OW_A=B", `,"a=b":"c","":"d"`, ""},
	} {
		assert.Equal(t, tc.want, env(tc.name, tc.fields), "%s with %s", tc.name, tc.fields)
	}
}

// Not parallel: the environment is the process's.
func TestServerKeepsActivationsApart(t *testing.T) {
	c := newContainer(t, typed(func(ctx Context, in struct{ ID string }) (map[string]string, error) {
		return map[string]string{"event": in.ID, "context": ctx.ActivationID}, nil
	}))
	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() {
			id := fmt.Sprintf("activation%d", i)
			status, answer := c.post(t, "/run", fmt.Sprintf(`{"value":{"id":%q},"activation_id":%q}`, id, id))
			assert.Equal(t, http.StatusOK, status)
			assert.JSONEq(t, fmt.Sprintf(`{"event":%q,"context":%q}`, id, id), answer)
		})
	}
	callers.Wait()
	_, left := os.LookupEnv("__OW_ACTIVATION_ID")
	assert.False(t, left, "__OW_ACTIVATION_ID is left behind")
}

func TestServerEndsWhatRunsBeforeItStops(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	c := newContainer(t, func(json.RawMessage) (json.RawMessage, error) {
		close(running)
		<-release
		return json.RawMessage(`{"done":true}`), nil
	})
	var caller sync.WaitGroup
	caller.Go(func() {
		status, answer := c.post(t, "/run", "{}")
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, `{"done":true}`, answer)
	})
	<-running
	var stopper sync.WaitGroup
	stopper.Go(func() { assert.NoError(t, c.stop()) })
	close(release)
	caller.Wait()
	stopper.Wait()
}

func TestServerReportsABrokenListener(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	err = newServer(probe, io.Discard, io.Discard).serve(t.Context(), listener)
	assert.ErrorIs(t, err, net.ErrClosed)
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"value":{"do":"answer","arg":"[]"},"activation_id":"a","deadline":1}`,
		`{"value":null}`, `{"value":"\ud800"}`, "{\"a\n\":1}", `{"value":{},"a=b":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newServer(func(event json.RawMessage) (json.RawMessage, error) { return event, nil }, io.Discard, io.Discard)
		r := s.run(bytes.NewReader(body))
		if !json.Valid(r.body) || r.status == http.StatusOK && !isDictionaryOrArray(r.body) {
			t.Errorf("run %q = %d %q", body, r.status, r.body)
		}
	})
}
