package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/engines/wasmtime"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forEngines runs a test on every engine that is built in.
func forEngines(t *testing.T, test func(*testing.T, engine.WasmRuntime)) {
	t.Helper()
	config := engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true}
	engines := map[string]func() (engine.WasmRuntime, error){
		"compiler":    func() (engine.WasmRuntime, error) { return wazero.NewCompiler(t.Context(), config) },
		"interpreter": func() (engine.WasmRuntime, error) { return wazero.NewInterpreter(t.Context(), config) },
	}
	if wasmtime.Missing == "" {
		engines["wasmtime"] = func() (engine.WasmRuntime, error) { return wasmtime.New(t.Context(), config) }
	}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, err := open()
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
			test(t, rt)
		})
	}
}

func template(t testing.TB, rt engine.WasmRuntime, src string, policy sandbox.Policy) *sandbox.Template {
	t.Helper()
	tpl, err := newTemplate(t, rt, src, policy)
	require.NoError(t, err)
	return tpl
}

func newTemplate(t testing.TB, rt engine.WasmRuntime, src string, policy sandbox.Policy) (*sandbox.Template, error) {
	t.Helper()
	module, err := rt.Compile(t.Context(), wat.Must(src))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(context.WithoutCancel(t.Context()))) })
	return sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), policy)
}

func activation(input string) sandbox.Activation {
	return sandbox.Activation{Input: json.RawMessage(input), Deadline: time.Now().Add(time.Minute)}
}

// healthy shows that an engine which met a hostile guest serves the next one.
func healthy(t *testing.T, rt engine.WasmRuntime) {
	t.Helper()
	out := template(t, rt, echoes, sandbox.Policy{}).Run(t.Context(), activation(`{"still":"here"}`))
	require.NoError(t, out.Err)
	assert.JSONEq(t, `{"still":"here"}`, string(out.Result))
}

func TestRunEchoes(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, echoes, sandbox.Policy{})
		assert.Equal(t, abi.Reactor, tpl.Contract())
		for _, input := range []string{`{}`, `{"a":[1,2,{"b":null}]}`, `[1,"two"]`, `{"❄":"☃"}`} {
			out := tpl.Run(t.Context(), activation(input))
			assert.NoError(t, out.Err)
			assert.Equal(t, sandbox.Success, out.Status)
			assert.Equal(t, input, string(out.Result), "the JSON comes back byte for byte")
		}
		out := tpl.Run(t.Context(), activation(`{"error":"mine"}`))
		assert.Equal(t, sandbox.ApplicationError, out.Status)
		assert.NoError(t, out.Err)
	})
}

func TestActivationSeesNothingOfTheLast(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, forgetful, sandbox.Policy{})
		for range 20 {
			require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
		}
	})
}

// TestActivationFindsItsStreamsAsNew has every other activation close its output
// and leave a line unended.
func TestActivationFindsItsStreamsAsNew(t *testing.T) {
	t.Parallel()
	const spoils = `
    (call $say (i32.const 1) (local.get $at) (local.get $n))
    (if (i32.eq (local.get $n) (i32.const 2)) (then
      (if (call $close (i32.const 1)) (then unreachable))
      (call $say (i32.const 2) (i32.const 0) (i32.const 5))))
    global.get $ok`
	const closes = `(import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))`
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, importing(closes, reactor(spoils, say)), sandbox.Policy{})
		for range 20 {
			out := tpl.Run(t.Context(), activation(`{}`))
			require.NoError(t, out.Err)
			assert.Equal(t, []string{`{}`, `{"ok"`}, texts(out.Logs))
			kept := out.Logs
			out = tpl.Run(t.Context(), activation(`{"n":1}`))
			require.NoError(t, out.Err)
			assert.Equal(t, []string{`{"n":1}`}, texts(out.Logs))
			assert.Equal(t, []string{`{}`, `{"ok"`}, texts(kept), "logs stay as they were handed out")
		}
	})
}

// TestConcurrentActivationsKeepApart gives a hundred activations at once inputs,
// environments and deadlines of their own.
func TestConcurrentActivationsKeepApart(t *testing.T) {
	t.Parallel()
	const environment = `
    (if (call $environ_sizes_get (i32.const 2000) (i32.const 2004)) (then unreachable))
    (if (call $environ_get (i32.const 2008) (i32.const 4096)) (then unreachable))
    (call $say (i32.const 1) (local.get $at) (local.get $n))
    (call $say (i32.const 2) (i32.const 4096) (i32.sub (i32.load (i32.const 2004)) (i32.const 1)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))`
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, reactor(environment, say), sandbox.Policy{})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				a := activation(fmt.Sprintf(`{"n":%d}`, i))
				a.Context = abi.Context{{Name: "activation_id", Value: fmt.Sprint(i)}}
				out := tpl.Run(t.Context(), a)
				if assert.NoError(t, out.Err) {
					assert.Equal(t, string(a.Input), string(out.Result))
					assert.Equal(t, []string{string(a.Input), fmt.Sprintf("__OW_ACTIVATION_ID=%d", i)}, texts(out.Logs))
				}
			})
		}
		wg.Wait()
	})
}

func texts(logs sandbox.Logs) []string {
	var all []string
	for _, l := range logs.Lines {
		all = append(all, l.Text)
	}
	return all
}

// keepsFile creates the file f in its directory, leaves it open, and fails if it
// was there before.
var keepsFile = importing(`(import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))`,
	reactor(`
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 600) (i32.const 1) (i32.const 5) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 700))
      (then unreachable))
    (if (i32.ne (i32.load (i32.const 700)) (i32.const 4)) (then unreachable))
    global.get $ok`, `(data (i32.const 600) "f")`))

// Descriptors are of one activation; the files of a granted directory, like
// those of any directory, are not.
func TestFilesAreReachableOnlyThroughAGrant(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		out := template(t, rt, keepsFile, sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		assert.Equal(t, sandbox.DeveloperError, out.Status, "no directory is open without a grant")

		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, root.Close()) })
		granted := sandbox.Capabilities{Mounts: []wasi.Mount{{Guest: "/data", Root: root, Access: wasi.ReadWrite}}}
		tpl := template(t, rt, keepsFile, sandbox.Policy{Capabilities: granted})
		require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
		assert.Error(t, tpl.Run(t.Context(), activation(`{}`)).Err, "the file is there now")
		require.NoError(t, os.Remove(filepath.Join(dir, "f")))
		require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err, "descriptor 4 is free again")
	})
}

// hostile guests, with the status and a part of the error that each ends in.
func TestHostileGuests(t *testing.T) {
	t.Parallel()
	spin := `(loop $l (br $l)) unreachable`
	for _, tc := range []struct {
		name, src string
		want      string
	}{
		{"spinning loop", reactor(spin, ""), "deadline exceeded"},
		{"spinning start function", reactor(`unreachable`, `(func $s (loop $l (br $l))) (start $s)`), "deadline exceeded"},
		{"spinning _initialize", reactor(`unreachable`, `(func (export "_initialize") (loop $l (br $l)))`), "deadline exceeded"},
		{"spinning ow_alloc", strings.Replace(echoes, "(i32.const 1024))", "(loop $l (br $l)) unreachable)", 1), "deadline exceeded"},
		{"blocked host call", reactor(`
    (i64.store (i32.const 808) (i64.const 0))
    (i32.store (i32.const 816) (i32.const 1))
    (i64.store (i32.const 824) (i64.const 3600000000000))
    (drop (call $poll_oneoff (i32.const 800) (i32.const 900) (i32.const 1) (i32.const 960)))
    unreachable`, ""), "deadline exceeded"},
		{"unreachable", reactor(`unreachable`, ""), "trap: unreachable"},
		{"out of bounds", reactor(`(drop (i32.load (i32.const 0x7fffffff))) unreachable`, ""), "trap: out of bounds memory access"},
		{"exit code 0", reactor(`(call $proc_exit (i32.const 0)) unreachable`, ""), "exit code 0"},
		{"exit code", reactor(`(call $proc_exit (i32.const 0xefffffff)) unreachable`, ""), "exit code 4026531839"},
		{"result out of range", reactor(`(i64.const 0x7fffffff_00000010)`, ""), "outside the memory"},
		{"result too long", reactor(`(i64.const 0x00000000_7fffffff)`, ""), "exceeds the limit of 1048576 bytes"},
		{"result is a number", reactor(`(i64.store (i32.const 0) (i64.const 0x3131)) (i64.const 2)`, ""), "did not return a dictionary or array"},
		{"no stack left", reactor(`(call $f) unreachable`, `(func $f (call $f) (call $f))`), "trap: call stack exhausted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, tc.src, sandbox.Policy{})
				a := activation(`{}`)
				a.Deadline = time.Now().Add(10 * time.Second)
				if strings.Contains(tc.want, "deadline") {
					a.Deadline = time.Now().Add(100 * time.Millisecond)
				}
				out := tpl.Run(t.Context(), a)
				assert.ErrorContains(t, out.Err, tc.want)
				assert.Equal(t, sandbox.DeveloperError, out.Status)
				assert.Empty(t, out.Result)
				healthy(t, rt)
			})
		})
	}
}

// The collector stops the world: a guest that could not be stopped for that
// would freeze every other activation until it ends.
func TestCollectorRunsBesideSpinningGuest(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, reactor(`(loop $l (br $l)) unreachable`, ""), sandbox.Policy{})
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			out := tpl.Run(ctx, sandbox.Activation{Input: json.RawMessage(`{}`)})
			assert.ErrorContains(t, out.Err, "collected")
			assert.Equal(t, sandbox.WhiskError, out.Status, "whoever cancels is to blame")
		})
		for range 5 {
			runtime.GC()
		}
		healthy(t, rt)
		cancel(errors.New("collected"))
		wg.Wait()
	})
}

func TestMemoryLimitIsExact(t *testing.T) {
	t.Parallel()
	// It grows from 2 pages to 5, and then not to 6.
	grows := reactor(`
    (if (i32.ne (memory.grow (i32.const 3)) (i32.const 2)) (then unreachable))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
    (i32.store8 (i32.const 0x4ffff) (i32.const 1))
    global.get $ok`, "")
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		within := sandbox.Policy{Limits: sandbox.Limits{MemoryPages: 5}}
		assert.NoError(t, template(t, rt, grows, within).Run(t.Context(), activation(`{}`)).Err)

		short := sandbox.Policy{Limits: sandbox.Limits{MemoryPages: 1}}
		out := template(t, rt, grows, short).Probe(t.Context())
		assert.ErrorContains(t, out.Err, "memory of 2 pages exceeds the limit of 1 pages")
		assert.Equal(t, sandbox.DeveloperError, out.Status)
	})
}

func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, echoes, sandbox.Policy{Limits: sandbox.Limits{PayloadBytes: 9}})
		assert.NoError(t, tpl.Run(t.Context(), activation(`{"a":"b"}`)).Err)
		assert.ErrorContains(t, tpl.Run(t.Context(), activation(`{"a":"bc"}`)).Err, "payload of 10 bytes exceeds the limit of 9 bytes")
	})
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	// It writes a line of 12 bytes, its end included, a thousand times.
	floods := reactor(`
    (loop $l
      (call $say (i32.const 2) (i32.const 0) (i32.const 12))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 1000))))
    global.get $ok`, say)
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		out := template(t, rt, floods, sandbox.Policy{Limits: sandbox.Limits{LogBytes: 30}}).Run(t.Context(), activation(`{}`))
		require.NoError(t, out.Err, "a guest that writes too much goes on")
		assert.Equal(t, []string{`{"ok":true}`, `{"ok":true}`, `{"ok"`}, texts(out.Logs))
		assert.True(t, out.Logs.Truncated)

		out = template(t, rt, floods, sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		assert.Len(t, out.Logs.Lines, 1000)
		assert.False(t, out.Logs.Truncated)
	})
}

func TestImportsNeedTheirCapability(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		for imp, want := range map[string]string{
			`(import "http" "get" (func (result i32)))`:                                   `needs the capability "net"`,
			`(import "whisk" "http_request" (func (param i32 i32 i32 i32) (result i32)))`: `needs the capability "net"`,
			`(import "env" "sock" (func))`:                                                "env.sock, which does not exist here",
			`(import "whisk" "log" (func (param i64)))`:                                   "another signature",
		} {
			_, err := newTemplate(t, rt, importing(imp, echoes), sandbox.Policy{})
			assert.ErrorContains(t, err, want)
			_, invalid := errors.AsType[*engine.InvalidModuleError](err)
			assert.True(t, invalid, "the developer of the action is to blame")
		}
		_, err := newTemplate(t, rt, importing(`(import "whisk" "log" (func (param i32 i32 i32)))`, echoes), sandbox.Policy{})
		assert.NoError(t, err)
	})
}
