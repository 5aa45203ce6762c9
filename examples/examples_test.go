package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example is an action, what it may touch, and what it is asked.
type example struct {
	name    string
	granted sandbox.Capabilities
	runs    []run
}

// run is an event and what the action makes of it: the answer want, or one that
// check finds right.
type run struct {
	event, want string
	check       func(t *testing.T, answer answer)
}

// answer is a decoded answer. Its numbers are as they were written.
type answer map[string]any

func (a answer) integer(t *testing.T, name string) int64 {
	t.Helper()
	text, _ := a[name].(json.Number)
	n, err := strconv.ParseInt(text.String(), 10, 64)
	require.NoError(t, err, "%s of %v", name, a)
	return n
}

func TestExamples(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, e := range allExamples(t) {
		for _, mode := range guesttest.Modes() {
			t.Run(e.name+" as "+string(mode), func(t *testing.T) {
				t.Parallel()
				tpl := newTemplate(t, rt, build(t, e.name, mode), e.granted)
				assert.Equal(t, abi.Name(mode), tpl.Contract())
				for _, r := range e.runs {
					r.on(t, tpl)
				}
			})
		}
	}
}

func allExamples(t *testing.T) []example {
	random := isRandom()
	return []example{
		{name: "hello", runs: []run{
			{event: `{"name":"Mike"}`, want: `{"greetings":"Hello, Mike"}`},
			{event: `{}`, want: `{"error":"no name specified"}`},
		}},
		{name: "add", runs: addRuns()},
		{name: "hash", runs: []run{
			{event: `{"iterations":0,"input":"abc"}`, want: `{"hash":"[61, 62, 63]"}`},
			{event: `{"iterations":1,"input":"abc"}`, want: `{"hash":"[64, 37, b3, ac, 38, 46, 51, 33, ff, b6, 3b, 75, 27, 3a, 8d, b5, 48, c5, 58, 46, 5d, 79, db, 3, fd, 35, 9c, 6c, d5, bd, 9d, 85]"}`},
			{event: `{"iterations":1}`, want: `{"error":"expected iterations and input"}`},
		}},
		{name: "prime", runs: []run{
			{event: `{"upperBound":200000}`, want: `{"result":17984}`},
			{event: `{"upperBound":2}`, want: `{"result":1}`},
			{event: `{"upperBound":-5}`, want: `{"result":0}`},
			{event: `{}`, want: `{"error":"expected upperBound"}`},
		}},
		{name: "clock", runs: []run{{event: `{}`, check: isClock}}},
		{name: "random", runs: []run{{event: `{}`, check: random}, {event: `{}`, check: random}}},
		{name: "block", granted: loopback(t), runs: []run{{event: `{}`, check: isBlock}}},
		{name: "net", granted: loopback(t), runs: netRuns(t)},
		{name: "filesys", granted: directory(t), runs: []run{{event: `{}`, check: isFilesys}, {event: `{}`, check: isFilesys}}},
	}
}

func addRuns() []run {
	return []run{
		{event: `{"param1":3,"param2":4}`, want: `{"result":7}`},
		{event: ` { "s":"a\"param2\\", "x":{"param1":9}, "param2" : -4 ,"param1":4 } `, want: `{"result":0}`},
		{event: `{"param1":9223372036854775807,"param2":-9223372036854775808}`, want: `{"result":-1}`},
		{event: `{"param1":9223372036854775808,"param2":1}`, want: `{"error":"Expected param1 to be an i64"}`},
		{event: `{"param1":1,"param2":-9223372036854775809}`, want: `{"error":"Expected param2 to be an i64"}`},
		{event: `{"param1":1,"param2":"2"}`, want: `{"error":"Expected param2 to be an i64"}`},
		{event: `{"param1":null,"param2":2}`, want: `{"error":"Expected param1 to be an i64"}`},
		{event: `{"param1":1.5,"param2":2}`, want: `{"error":"Expected param1 to be an i64"}`},
		{event: `{"param2":2}`, want: `{"error":"Expected param1 to be present"}`},
		{event: `{"param1":1}`, want: `{"error":"Expected param2 to be present"}`},
		{event: `{}`, want: `{"error":"Expected param1 to be present"}`},
	}
}

func netRuns(t *testing.T) []run {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("short and stout"))
	}))
	t.Cleanup(site.Close)
	return []run{
		{event: `{"url":"` + site.URL + `"}`, check: func(t *testing.T, a answer) {
			assert.GreaterOrEqual(t, a.integer(t, "request_time"), int64(0))
			assert.Equal(t, int64(http.StatusTeapot), a.integer(t, "status"))
			assert.Equal(t, int64(len("short and stout")), a.integer(t, "bytes"))
		}},
		{event: `{"url":"http://192.0.2.1/"}`, want: `{"error":"fetch: the policy of this action does not allow host 192.0.2.1"}`},
		{event: `{}`, want: `{"error":"expected url"}`},
	}
}

func isClock(t *testing.T, a answer) {
	assert.GreaterOrEqual(t, a.integer(t, "elapsed"), int64(0))
}

// isRandom accepts no number twice.
func isRandom() func(*testing.T, answer) {
	var seen sync.Map
	return func(t *testing.T, a answer) {
		text, _ := a["random"].(json.Number)
		n, err := strconv.ParseUint(text.String(), 10, 64)
		require.NoError(t, err)
		_, again := seen.LoadOrStore(n, true)
		assert.False(t, again, "random gave %d again", n)
	}
}

func isBlock(t *testing.T, a answer) {
	text, _ := a["sleep"].(string)
	ms, err := strconv.Atoi(text)
	require.NoError(t, err, "%v", a)
	assert.GreaterOrEqual(t, ms, 300)
}

func isFilesys(t *testing.T, a answer) {
	assert.Equal(t, true, a["success"], "%v", a)
	assert.GreaterOrEqual(t, a.integer(t, "write_read_time"), int64(0))
	assert.Equal(t, "Hello, Wasm.", a["content"])
}

func (r run) on(t *testing.T, tpl *sandbox.Template) {
	t.Helper()
	out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(r.event)})
	require.NoError(t, out.Err, "Run(%s), logs %v", r.event, out.Logs)
	r.answered(t, out.Result)
}

func (r run) answered(t *testing.T, result []byte) {
	t.Helper()
	if r.check == nil {
		assert.Equal(t, r.want, string(result), "the answer to %s", r.event)
		return
	}
	r.check(t, decode(t, result))
}

func decode(t *testing.T, result []byte) answer {
	t.Helper()
	var a answer
	dec := json.NewDecoder(bytes.NewReader(result))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&a), "%s", result)
	return a
}

// TestExamplesAsPrograms runs the native form as the docker skeleton does. What
// it may touch is up to the machine, so the examples that need a grant are out.
func TestExamplesAsPrograms(t *testing.T) {
	t.Parallel()
	dir := buildPrograms(t)
	for _, e := range allExamples(t) {
		if e.granted.HTTP != nil || e.granted.Mounts != nil {
			continue
		}
		for _, r := range e.runs {
			out, err := exec.CommandContext(t.Context(), filepath.Join(dir, e.name), r.event).Output()
			require.NoError(t, err, "%s %s", e.name, r.event)
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			r.answered(t, lines[len(lines)-1])
		}
	}
}

func buildPrograms(t *testing.T) (dir string) {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command: ", err)
	}
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool, "build", "-race=false", "-cover=false", "-o", dir+string(filepath.Separator), "./...")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return dir
}

func TestHelloLogsWhatItPrints(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, mode := range guesttest.Modes() {
		tpl := newTemplate(t, rt, build(t, "hello", mode), sandbox.Capabilities{})
		out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{"name":"Mike"}`)})
		require.NoError(t, out.Err)
		if assert.Len(t, out.Logs.Lines, 1, "%s", mode) {
			assert.Equal(t, "greeting Mike", out.Logs.Lines[0].Text, "%s", mode)
			assert.Equal(t, sandbox.Stdout, out.Logs.Lines[0].Stream, "%s", mode)
		}
	}
}

func TestNetworkMustBeGranted(t *testing.T) {
	t.Parallel()
	rt := newRuntime(t)
	for _, name := range []string{"net", "block"} {
		_, err := sandbox.New(sandbox.NewProgram(compile(t, rt, build(t, name, guest.Reactor))), sandbox.HostFuncs(), sandbox.Policy{})
		invalid, ok := errors.AsType[*engine.InvalidModuleError](err)
		require.True(t, ok, "New(%s) = %v, want an InvalidModuleError", name, err)
		assert.Contains(t, invalid.Error(), `needs the capability "net"`)
	}
}

func TestDirectoryMustBeGranted(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, newRuntime(t), build(t, "filesys", guest.Reactor), sandbox.Capabilities{})
	out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`)})
	require.NoError(t, out.Err)
	assert.Equal(t, sandbox.ApplicationError, out.Status)
	assert.Contains(t, decode(t, out.Result)["error"], "open /tmp/filesys/")
}

func TestWatAdd(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("wat/add.wat")
	require.NoError(t, err)
	binary, err := wat.Compile(string(source))
	require.NoError(t, err)
	tpl := newTemplate(t, newRuntime(t), binary, sandbox.Capabilities{})
	assert.Equal(t, abi.Reactor, tpl.Contract())
	padding := strings.Repeat(" ", 200_000) // past the first page
	for _, r := range append(addRuns(),
		run{event: `{"param1":1,` + padding + `"param2":2}`, want: `{"result":3}`},
		run{event: `["param1",1]`, want: `{"error":"Expected param1 to be present"}`},
	) {
		r.on(t, tpl)
	}
}

func TestCAdd(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, newRuntime(t), guesttest.BuildC(t, "c/add.c"), sandbox.Capabilities{})
	assert.Equal(t, abi.Reactor, tpl.Contract())
	for _, r := range append(addRuns(),
		run{event: `["param1",1]`, want: `{"error":"Expected param1 to be present"}`},
		run{event: `{"param1":7,"param1":[{"param2":1}],"param1":1,"param2":2}`, want: `{"result":3}`},
	) {
		r.on(t, tpl)
	}
}

func build(t *testing.T, name string, mode guest.Mode) []byte {
	return guesttest.Build(t, "wasmwhisk/examples/"+name, mode)
}

// newRuntime interprets: compiling the examples would take a hundred times as
// long as running them, above all under the race detector.
func newRuntime(t *testing.T) engine.WasmRuntime {
	t.Helper()
	rt, err := wazeroengine.NewInterpreter(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	return rt
}

func compile(t *testing.T, rt engine.WasmRuntime, binary []byte) engine.Module {
	t.Helper()
	module, err := rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(context.WithoutCancel(t.Context()))) })
	return module
}

func newTemplate(t *testing.T, rt engine.WasmRuntime, binary []byte, granted sandbox.Capabilities) *sandbox.Template {
	t.Helper()
	tpl, err := sandbox.New(sandbox.NewProgram(compile(t, rt, binary)), sandbox.HostFuncs(), sandbox.Policy{Capabilities: granted})
	require.NoError(t, err)
	return tpl
}

// loopback lets an action reach the servers of a test and nothing else.
func loopback(t *testing.T) sandbox.Capabilities {
	t.Helper()
	client, err := host.NewClient(host.Policy{
		Allow:        []string{"127.0.0.1"},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return sandbox.Capabilities{HTTP: client}
}

func directory(t *testing.T) sandbox.Capabilities {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, root.Close()) })
	return sandbox.Capabilities{Mounts: []wasi.Mount{{Guest: "/tmp/filesys", Root: root, Access: wasi.ReadWrite}}}
}
