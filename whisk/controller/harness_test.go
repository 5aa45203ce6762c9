package controller_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/invoker"
	"wasmwhisk/whisk/store"
	"wasmwhisk/whisk/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guests stands for the invoker: an action does what its code says, in words.
type guests struct {
	store store.Store

	mu          sync.Mutex
	invocations []invoker.Invocation
	precompiled []whisk.Digest
	last        whisk.Timestamp // start of an activation
	held        chan struct{}   // closed when actions that wait may go on
	running     sync.WaitGroup
}

func (g *guests) Precompile(a *whisk.Action) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.precompiled = append(g.precompiled, a.Exec.Digest)
}

func (g *guests) Invoke(ctx context.Context, inv invoker.Invocation) (*whisk.Activation, error) {
	ended := g.begin(inv)
	select {
	case record := <-ended:
		return record, nil
	case <-ctx.Done():
		return nil, invoker.ErrUnfinished
	}
}

func (g *guests) Accept(ctx context.Context, inv invoker.Invocation) error {
	if err := g.store.Accept(ctx, inv.Promise()); err != nil {
		return err
	}
	g.begin(inv)
	return nil
}

// begun is how many activations there were so far.
func (g *guests) begun() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.invocations)
}

func (g *guests) begin(inv invoker.Invocation) <-chan *whisk.Activation {
	g.mu.Lock()
	g.invocations = append(g.invocations, inv)
	g.mu.Unlock()
	code := g.code(inv)
	ended := make(chan *whisk.Activation, 1)
	g.running.Go(func() {
		record := g.run(inv, code)
		if err := g.store.Append(context.Background(), record); err != nil {
			panic(err)
		}
		if inv.Ended != nil {
			inv.Ended()
		}
		ended <- record
	})
	return ended
}

// code is read before a test goes on, which may delete the action. One that is fired
// when the answer is out may be gone already.
func (g *guests) code(inv invoker.Invocation) string {
	code, err := g.store.ReadCode(context.Background(), inv.Action.Exec.Digest)
	if errors.Is(err, store.ErrNotFound) {
		return "application the action is gone"
	}
	if err != nil {
		panic(err)
	}
	return string(code)
}

// run does what the action's code says, in words that are not base64 by chance.
func (g *guests) run(inv invoker.Invocation, code string) *whisk.Activation {
	word, rest, _ := strings.Cut(code, " ")
	response := whisk.Response{Result: inv.Arguments}
	switch word {
	case "answer":
		response.Result = json.RawMessage(rest)
	case "application", "developer", "whisk":
		response.Status = map[string]whisk.Status{"application": 1, "developer": 2, "whisk": 3}[word]
		response.Result = json.RawMessage(`{"error":"` + rest + `"}`)
	case "wait":
		<-g.held
	case "conduct":
		response.Result = conducted(inv.Arguments)
	}
	response.Size = len(response.Result)
	now, took := g.start(), int64(7)
	annotations := whisk.Parameters(nil).With("path", inv.Action.FullName().ID()).
		With("kind", inv.Action.Exec.Kind).With("limits", inv.Action.Limits)
	for _, a := range []struct{ key, value string }{{"causedBy", inv.CausedBy}, {"binding", inv.Binding}} {
		if a.value != "" {
			annotations = annotations.With(a.key, a.value)
		}
	}
	return &whisk.Activation{
		Namespace: inv.Namespace, Name: inv.Action.Name, Version: inv.Action.Version, Subject: inv.Subject,
		ID: inv.ID, Cause: inv.Cause, Start: now, End: now + 7, Duration: &took, Response: response,
		Logs: []string{"2026-01-01T00:00:00.000000000Z stdout: hello"}, Annotations: annotations,
	}
}

// start is a time after all those before, so that the order of records is known.
func (g *guests) start() whisk.Timestamp {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = max(g.last+1, whisk.At(time.Now()))
	return g.last
}

// conducted asks for the actions that the argument "steps" names, one after the
// other.
func conducted(args json.RawMessage) json.RawMessage {
	var in map[string]json.RawMessage
	_ = json.Unmarshal(args, &in)
	var steps []json.RawMessage
	_ = json.Unmarshal(in["steps"], &steps)
	delete(in, "steps")
	params, _ := json.Marshal(in)
	if len(steps) == 0 {
		out, _ := json.Marshal(map[string]json.RawMessage{"params": params})
		return out
	}
	state, _ := json.Marshal(map[string]any{"steps": steps[1:]})
	out, _ := json.Marshal(map[string]json.RawMessage{"action": steps[0], "params": params, "state": state})
	return out
}

// server is a controller on loopback, with namespaces guest and other.
type server struct {
	t          testing.TB
	url        string
	controller *controller.Controller
	guests     *guests
	store      store.Store
	other      whisk.Key
}

func newServer(t testing.TB, configure ...func(*controller.Config)) *server {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Config{Dir: filepath.Join(t.TempDir(), "store")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	g := &guests{store: s, held: make(chan struct{})}
	registry := prometheus.NewRegistry()
	config := controller.Config{
		Addr: "127.0.0.1:0", Store: s, Invoker: g, Registerer: registry, Gatherer: registry,
		Rates: entitlement.Rates{InvocationsPerMinute: -1, FiresPerMinute: -1, ConcurrentInvocations: -1},
	}
	for _, change := range configure {
		change(&config)
	}
	c, err := controller.New(config)
	require.NoError(t, err)
	require.NoError(t, c.Start(ctx))
	server := &server{t: t, controller: c, url: "http://" + c.Addr().String(), guests: g, store: s, other: whisk.NewKey()}
	server.subject(whisk.Guest, whisk.GuestKey())
	server.subject("other", server.other)
	t.Cleanup(func() {
		select {
		case <-g.held:
		default:
			close(g.held)
		}
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, c.Stop(ctx))
		g.running.Wait()
	})
	return server
}

func (s *server) subject(name string, key whisk.Key) {
	s.t.Helper()
	require.NoError(s.t, s.store.CreateSubject(context.Background(), &store.Subject{Name: name}))
	require.NoError(s.t, s.store.SetKey(context.Background(), name, whisk.EntityName(name), key))
}

// reply is what came back.
type reply struct {
	t      testing.TB
	call   string
	status int
	header http.Header
	body   string
}

// do sends a request as guest. What changes it comes last.
func (s *server) do(method, path, body string, change ...func(*http.Request)) *reply {
	s.t.Helper()
	if strings.HasPrefix(path, "_") {
		path = "/api/v1/namespaces/" + path
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.SetBasicAuth(whisk.GuestKey().UUID, whisk.GuestKey().Secret)
	for _, c := range change {
		c(req)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return &reply{t: s.t, call: method + " " + path, status: res.StatusCode, header: res.Header, body: string(got)}
}

func (s *server) asOther(req *http.Request) { req.SetBasicAuth(s.other.UUID, s.other.Secret) }

func basic(key whisk.Key) string { return base64.StdEncoding.EncodeToString([]byte(key.Text())) }

func anonymous(req *http.Request) { req.Header.Del("Authorization") }

func header(key, value string) func(*http.Request) {
	return func(req *http.Request) { req.Header.Set(key, value) }
}

// unsent announces a body that does not come: a server that refuses it early cannot
// cut off a client that is still sending.
func (s *server) unsent(n int64) func(*http.Request) {
	body, never := io.Pipe()
	s.t.Cleanup(func() { _ = never.Close() })
	return func(req *http.Request) { req.Body, req.ContentLength = body, n }
}

// put is a PUT that must succeed.
func (s *server) put(path, body string) *reply {
	s.t.Helper()
	return s.do(http.MethodPut, path, body).is(http.StatusOK)
}

// action makes an action that does what it says.
func (s *server) action(path, code string) {
	s.t.Helper()
	s.put("_/actions/"+path, `{"exec":{"kind":"wasm:0.1","code":`+quoted(code)+`}}`)
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

func (r *reply) is(status int) *reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s: %s", r.call, r.body)
	return r
}

// refused wants the error that wsk shows.
func (r *reply) refused(status int, message string) {
	r.t.Helper()
	r.is(status)
	var body struct{ Error, Code string }
	require.NoError(r.t, json.Unmarshal([]byte(r.body), &body), "%s: %s", r.call, r.body)
	assert.Equal(r.t, message, body.Error, r.call)
	assert.NotEmpty(r.t, body.Code, r.call)
	assert.Equal(r.t, r.header.Get("X-Request-Id"), body.Code, r.call)
}

// says wants a body, where "…" in a string stands for anything.
func (r *reply) says(want string) *reply {
	r.t.Helper()
	var got, wanted any
	require.NoError(r.t, json.Unmarshal([]byte(r.body), &got), "%s: %s", r.call, r.body)
	require.NoError(r.t, json.Unmarshal([]byte(want), &wanted))
	assert.Equal(r.t, wanted, masked(got, wanted), r.call)
	return r
}

// masked puts "…" where want has it.
func masked(got, want any) any {
	switch w := want.(type) {
	case string:
		if w == "…" {
			return w
		}
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			for k, v := range g {
				g[k] = masked(v, w[k])
			}
		}
	case []any:
		if g, ok := got.([]any); ok {
			for i := range min(len(g), len(w)) {
				g[i] = masked(g[i], w[i])
			}
		}
	}
	return got
}

// field is a member of the reply's object.
func (r *reply) field(name string) string {
	r.t.Helper()
	var body map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal([]byte(r.body), &body), "%s: %s", r.call, r.body)
	return string(bytes.Trim(body[name], `"`))
}

// names are those of a list.
func (r *reply) names() []string {
	r.t.Helper()
	var list []struct{ Name string }
	require.NoError(r.t, json.Unmarshal([]byte(r.is(http.StatusOK).body), &list), "%s: %s", r.call, r.body)
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name
	}
	return names
}

// inOneMinute has what follows happen within one minute of the clock, by which rates are
// counted.
func inOneMinute() {
	if second := time.Now().Second(); second >= 50 {
		time.Sleep(time.Duration(60-second) * time.Second)
	}
}
