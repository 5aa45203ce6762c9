//go:build !wasip1

package actionsdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// These tests run actions of testdata as modules, in the executor's sandbox. The
// engine interprets: compiling would take much longer than running.

func newModule(t *testing.T, name string, mode guest.Mode) engine.Module {
	t.Helper()
	binary := guesttest.Build(t, "wasmwhisk/actionsdk/testdata/"+name, mode)
	rt, err := wazeroengine.NewInterpreter(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	module, err := rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(context.WithoutCancel(t.Context()))) })
	return module
}

func newTemplate(t *testing.T, module engine.Module, policy sandbox.Policy) *sandbox.Template {
	t.Helper()
	tpl, err := sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), policy)
	require.NoError(t, err)
	return tpl
}

func event(do, arg string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"do":%q,"arg":%q}`, do, arg))
}

func TestGuest(t *testing.T) {
	t.Parallel()
	for _, mode := range guesttest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			module := newModule(t, "probe", mode)
			tpl := newTemplate(t, module, sandbox.Policy{Env: []string{"SDK_TEST=yes"}})
			t.Run("answers", func(t *testing.T) { guestAnswers(t, tpl) })
			t.Run("logs", func(t *testing.T) { guestLogs(t, tpl) })
			t.Run("breaks", func(t *testing.T) { guestBreaks(t, tpl) })
			t.Run("has a context", func(t *testing.T) { guestHasContext(t, tpl) })
			t.Run("imports WASI alone", func(t *testing.T) { guestImportsWASI(t, module) })
			if mode == guest.Reactor {
				t.Run("distrusts its host", func(t *testing.T) { reactorDistrusts(t, module) })
				t.Run("answers again", func(t *testing.T) { reactorAnswersAgain(t, module) })
			}
		})
	}
}

func guestAnswers(t *testing.T, tpl *sandbox.Template) {
	for _, tc := range []struct{ do, arg, want string }{
		{"nothing", `"é" & <b>`, `{"arg":"\"é\" \u0026 \u003cb\u003e","runs":1}`},
		{"nothing", "again", `{"arg":"again","runs":1}`},
		{"sleep", "", `{"arg":"","runs":1}`},
		{"collect", "kept", `{"arg":"kept","runs":1}`},
		{"work", "done", `{"arg":"done","runs":1}`},
		{"environment", "SDK_TEST", `{"value":"yes"}`},
		{"fail", `no "b" <c>`, `{"error":"no \"b\" <c>"}`},
	} {
		out := tpl.Run(t.Context(), sandbox.Activation{Input: event(tc.do, tc.arg)})
		require.NoError(t, out.Err, tc.do)
		assert.Equal(t, tc.want, string(out.Result), "%s %q", tc.do, tc.arg)
	}
	out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`["a"]`)})
	assert.Equal(t, sandbox.ApplicationError, out.Status, "an event of another type")
	assert.Contains(t, string(out.Result), "input: json: cannot unmarshal array")
}

func guestLogs(t *testing.T, tpl *sandbox.Template) {
	out := tpl.Run(t.Context(), sandbox.Activation{Input: event("log", "this")})
	require.NoError(t, out.Err)
	assert.JSONEq(t, `{"arg":"this","runs":1}`, string(out.Result))
	assert.Equal(t, []string{"stdout: printed this", "stderr: logged this"}, logged(out))
}

func logged(out sandbox.Outcome) []string {
	var lines []string
	for _, l := range out.Logs.Lines {
		lines = append(lines, l.Stream.String()+": "+l.Text)
	}
	return lines
}

func guestBreaks(t *testing.T, tpl *sandbox.Template) {
	out := tpl.Run(t.Context(), sandbox.Activation{Input: event("panic", "lost my head")})
	assert.Equal(t, sandbox.DeveloperError, out.Status)
	assert.Contains(t, strings.Join(logged(out), "\n"), "stderr: panic: lost my head")

	out = tpl.Run(t.Context(), sandbox.Activation{Input: event("exit", "")})
	assert.Equal(t, sandbox.DeveloperError, out.Status)
	exit, ok := errors.AsType[*engine.ExitError](out.Err)
	require.True(t, ok, out.Err)
	assert.Equal(t, uint32(3), exit.Code)

	out = tpl.Run(t.Context(), sandbox.Activation{Input: event("number", "")})
	assert.Equal(t, sandbox.DeveloperError, out.Status, "an answer that is a number")
}

func guestHasContext(t *testing.T, tpl *sandbox.Template) {
	deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	fields := abi.Context{
		{Name: "activation_id", Value: "id"},
		{Name: "transaction_id", Value: "tid"},
		{Name: "namespace", Value: "guest"},
		{Name: "action_name", Value: "/guest/probe"},
		{Name: "action_version", Value: "0.0.1"},
		{Name: "api_host", Value: "http://host"},
		{Name: "api_key", Value: "user:key"},
		{Name: "deadline", Value: strconv.FormatInt(deadline.UnixMilli(), 10)},
	}
	out := tpl.Run(t.Context(), sandbox.Activation{Input: event("context", ""), Context: fields})
	require.NoError(t, out.Err)
	assert.JSONEq(t, fmt.Sprintf(`{"context":{"Context":null,"ActivationID":"id","TransactionID":"tid","Namespace":"guest",
		"ActionName":"/guest/probe","ActionVersion":"0.0.1","APIHost":"http://host","APIKey":"user:key"},
		"deadline":%d}`, deadline.UnixMilli()), string(out.Result))

	past := abi.Context{{Name: "deadline", Value: "1"}}
	out = tpl.Run(t.Context(), sandbox.Activation{Input: event("wait", ""), Context: past})
	require.NoError(t, out.Err)
	assert.Equal(t, `{"error":"context deadline exceeded"}`, string(out.Result))
}

func TestGuestThatIsNoAction(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, newModule(t, "mute", guest.Reactor), sandbox.Policy{})
	out := tpl.Run(t.Context(), sandbox.Activation{Input: event("", "")})
	assert.Equal(t, sandbox.DeveloperError, out.Status)
	assert.Contains(t, strings.Join(logged(out), "\n"), "main called neither Start nor Handle")
}

// guestImportsWASI holds a module to what needs no capability: the linker drops
// the functions of the host that an action cannot reach.
func guestImportsWASI(t *testing.T, module engine.Module) {
	for _, imp := range module.Imports() {
		assert.Equal(t, "wasi_snapshot_preview1", imp.Module, "import of %s", imp.Name)
	}
}

func reactorDistrusts(t *testing.T, module engine.Module) {
	for _, tc := range []struct {
		name string
		call func(g *reactor) error
		want string
	}{
		{"more than fits", func(g *reactor) error { _, err := g.alloc(65 << 20); return err }, "the input is too long"},
		{"no input", func(g *reactor) error { _, err := g.run(1024, 2); return err }, "the input is not where ow_alloc wanted it"},
		{"another place", func(g *reactor) error {
			at, err := g.alloc(8)
			require.NoError(t, err)
			_, err = g.run(at+1, 2)
			return err
		}, "the input is not where ow_alloc wanted it"},
		{"another length", func(g *reactor) error {
			at, err := g.alloc(8)
			require.NoError(t, err)
			_, err = g.run(at, 9)
			return err
		}, "the input is not where ow_alloc wanted it"},
	} {
		g := newReactor(t, module)
		require.Error(t, tc.call(g), tc.name)
		assert.Contains(t, g.stderr.String(), tc.want, tc.name)
	}
}

// reactorAnswersAgain is for a host that keeps an instance and uses it again.
func reactorAnswersAgain(t *testing.T, module engine.Module) {
	g := newReactor(t, module)
	for i := range 12 {
		do := "nothing"
		if i%4 == 0 {
			do = "collect"
		}
		in := event(do, strings.Repeat("x", i*1000))
		at, err := g.alloc(uint32(len(in)))
		require.NoError(t, err)
		copy(g.instance.Memory()[at:], in)
		result, err := g.run(at, uint32(len(in)))
		require.NoError(t, err)
		assert.JSONEq(t, fmt.Sprintf(`{"runs":%d,"arg":%q}`, i+1, strings.Repeat("x", i*1000)), string(result))
	}
}

// reactor is an initialized instance, called by hand.
type reactor struct {
	ctx      context.Context
	instance engine.Instance
	stderr   *strings.Builder
}

func newReactor(t *testing.T, module engine.Module) *reactor {
	t.Helper()
	stderr := new(strings.Builder)
	system := wasi.NewSystem(wasi.Config{Stderr: stderr})
	ctx := wasi.NewContext(t.Context(), system)
	instance, err := module.Instantiate(ctx, engine.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, instance.Close(context.WithoutCancel(ctx)))
		assert.NoError(t, system.Close())
	})
	_, err = instance.Call(ctx, "_initialize")
	require.NoError(t, err)
	return &reactor{ctx, instance, stderr}
}

func (g *reactor) alloc(n uint32) (uint32, error) {
	results, err := g.instance.Call(g.ctx, "ow_alloc", uint64(n))
	if err != nil {
		return 0, err
	}
	return uint32(results[0]), nil
}

func (g *reactor) run(at, n uint32) ([]byte, error) {
	results, err := g.instance.Call(g.ctx, "ow_run", uint64(at), uint64(n))
	if err != nil {
		return nil, err
	}
	result, err := g.instance.Memory().Range(uint32(results[0]>>32), uint32(results[0]))
	return slices.Clone(result), err
}
