package target_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/target"
)

// asServer has the test binary be what the variable names.
const asServer = "EVAL_TEST_SERVER"

func TestMain(m *testing.M) {
	kind := os.Getenv(asServer)
	if kind == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	serve := func() error { return target.Serve(ctx, target.Convention(kind), os.Stdout) }
	if kind == "constant" {
		serve = func() error { return target.ServeConstant(ctx, os.Stdout) }
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// self is a command that is a server of a kind.
func self(kind string) []string { return []string{"/usr/bin/env", asServer + "=" + kind, os.Args[0]} }

// executor builds the binary once.
var executor = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wasmwhisk-eval-test-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "executor")
	said, err := exec.Command("go", "build", "-pgo=off", "-o", program, "wasmwhisk/cmd/executor").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build executor: %w: %s", err, said)
	}
	return program, nil
})

func targets(t *testing.T) map[string]target.Target {
	t.Helper()
	program, err := executor()
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(program)) })
	b := &target.Builder{}
	return map[string]target.Target{
		"executor":      &target.Executor{Label: "executor", Program: program, Builder: b},
		"executor anew": &target.Executor{Label: "anew", Program: program, Builder: b, Anew: true},
		"REST":          &target.Standalone{API: target.API{Label: "REST", Builder: b}, Program: program},
		"process":       &target.Proxied{Label: "process", Command: self("process"), Builder: b},
		"actionloop":    &target.Proxied{Label: "actionloop", Command: self("actionloop"), Builder: b},
		"node":          &target.Node{Label: "node", Builder: b},
	}
}

// TestTargets holds all targets to the same answers, before and after a restart.
func TestTargets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds programs for each target")
	}
	for name, tt := range targets(t) {
		t.Run(name, func(t *testing.T) {
			if err := tt.Start(t.Context()); err != nil {
				var missing *target.UnavailableError
				require.ErrorAs(t, err, &missing)
				t.Skip(err)
			}
			t.Cleanup(func() { assert.NoError(t, tt.Stop()) })
			answers(t, tt, "first")
			require.NoError(t, tt.Restart(t.Context()))
			answers(t, tt, "second")
		})
	}
}

func answers(t *testing.T, tt target.Target, prefix string) {
	t.Helper()
	for _, a := range []struct {
		program string
		size    target.Size
		want    string
	}{
		{target.Add, target.Small, `{"result":7}`},
		{target.Add, target.Medium, `{"result":7}`},
		{target.Add, target.Large, `{"result":7}`},
		{target.Block, target.Small, `{"sleep":"`},
		{target.Block, target.Large, `{"sleep":"`},
		{target.Prime, target.Large, `{"result":9592}`},
		{target.Hash, target.Large, `{"hash":"[23, c1, e,`},
	} {
		name := fmt.Sprintf("%s-%s-%s", prefix, a.program, a.size)
		d, err := tt.Action(t.Context(), target.Action{Name: name, Program: a.program, Size: a.size, Code: prefix})
		if err != nil {
			require.ErrorIs(t, err, target.ErrNoProgram, "Action(%s)", name)
			continue
		}
		for _, o := range []load.Operation{d.First, d.Invoke} {
			got := run(t, tt, o)
			assert.Equal(t, a.want, got[:min(len(got), len(a.want))], "answer of %s", name)
		}
		size, err := tt.Resident(t.Context())
		require.NoError(t, err)
		assert.Positive(t, size, "resident memory")
		require.NoError(t, tt.Remove(t.Context(), d))
		require.NoError(t, tt.Remove(t.Context(), d), "Remove what is not there")
	}
}

// run gives the last answer of an operation, without the record around it.
func run(t *testing.T, tt target.Target, o load.Operation) string {
	t.Helper()
	var body []byte
	for _, r := range append(append([]load.Request{}, o.Prepare...), o.Steps...) {
		body = send(t, r)
	}
	if tt.Protocol() != target.REST {
		return string(body)
	}
	var record struct {
		Response struct{ Result json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(body, &record))
	return string(record.Response.Result)
}

// send gives the body of an answer, which is a success.
func send(t *testing.T, r load.Request) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.Method, r.URL, bytes.NewReader(r.Body))
	require.NoError(t, err)
	for key, value := range r.Header {
		req.Header.Set(key, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s %s: %s", r.Method, r.URL, body)
	return body
}

// A constant answers whatever it is asked.
func TestAnswering(t *testing.T) {
	t.Parallel()
	c := &target.Answering{Label: "floor", Command: self("constant")}
	require.NoError(t, c.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	d, err := c.Action(t.Context(), target.Action{Name: "any", Program: target.Add})
	require.NoError(t, err)
	assert.JSONEq(t, `{}`, run(t, c, d.First))
}

func TestProcessesThatDoNotListen(t *testing.T) {
	t.Parallel()
	c := &target.Answering{Label: "broken", Command: []string{"/bin/sh", "-c", "echo no license >&2; exit 3"}}
	err := c.Start(t.Context())
	var missing *target.UnavailableError
	require.ErrorAs(t, err, &missing)
	assert.ErrorContains(t, err, "ended before it listened: no license")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://127.0.0.1":                          "want name=url",
		"ow=ftp://127.0.0.1,protocol=rest":          `"ftp://127.0.0.1" is not an http URL`,
		"ow=http://127.0.0.1":                       `protocol is "", want runtime or rest`,
		"ow=http://127.0.0.1,protocol=rest,color=1": `unknown option "color"`,
	} {
		_, err := target.Parse(text, nil)
		assert.ErrorContains(t, err, want, "Parse(%q)", text)
	}
	got, err := target.Parse("ow=http://127.0.0.1:3233,protocol=rest,auth=a:b", nil)
	require.NoError(t, err)
	assert.Equal(t, target.REST, got.Protocol())
	assert.Equal(t, "ow", got.Name())
}

// What listens already is left as it is.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(server.Close)
	e, err := target.Parse("there="+server.URL+",protocol=runtime", &target.Builder{})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	assert.Equal(t, "/health", <-asked)
	d, err := e.Action(t.Context(), target.Action{Name: "a", Program: target.Add, Size: target.Small})
	require.NoError(t, err)
	assert.Equal(t, server.URL+"/a/init", d.First.Prepare[0].URL)
	require.NoError(t, e.Remove(t.Context(), d))
	assert.Equal(t, "/a/destroy", <-asked)
	require.ErrorIs(t, e.Restart(t.Context()), target.ErrElsewhere)
	require.NoError(t, e.Stop())

	server.Close()
	var missing *target.UnavailableError
	require.ErrorAs(t, e.Start(t.Context()), &missing)
}

// What does not come up again can still be stopped.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	script := `mkdir "$0/once" 2>/dev/null && exec "$@"; echo no more >&2; exit 3`
	command := append([]string{"/bin/sh", "-c", script, t.TempDir()}, self("constant")...)
	c := &target.Answering{Label: "once", Command: command}
	require.NoError(t, c.Start(t.Context()))
	require.ErrorContains(t, c.Restart(t.Context()), "no more")
	require.NoError(t, c.Stop())
}
