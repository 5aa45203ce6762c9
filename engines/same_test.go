// Package engines_test holds the engines against each other.
package engines_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/engines/wasmtime"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compiler(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewCompiler(ctx, config)
}

func interpreter(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewInterpreter(ctx, config)
}

func openWasmtime(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmtime.New(ctx, config)
}

// needWasmtime skips where this binary does not have it.
func needWasmtime(tb testing.TB) {
	tb.Helper()
	if wasmtime.Missing != "" {
		tb.Skip("wasmtime " + wasmtime.Missing)
	}
}

func TestSameOutcomes(t *testing.T) {
	t.Parallel()
	all := sides(t)
	enginetest.Same(t, all, hostile())
	enginetest.Same(t, all, builtOtherwise(t))
	if !testing.Short() { // those in Go take the race detector a minute each
		enginetest.Same(t, all, examplesInGo(t))
		testSleep(t, all)
	}
}

// sides are the engines of this binary.
func sides(t *testing.T) map[string]enginetest.Side {
	t.Helper()
	all := map[string]enginetest.Side{
		"wazero":             enginetest.InProcess(t, compiler),
		"wazero-interpreter": enginetest.InProcess(t, interpreter),
	}
	if wasmtime.Missing == "" {
		all["wasmtime"] = enginetest.InProcess(t, openWasmtime)
	}
	return all
}

// TestSameOutcomesInWasmer has wasmer agree with wazero, and so with the others, in
// its worker processes. There is no example that it cannot run.
func TestSameOutcomesInWasmer(t *testing.T) {
	t.Parallel()
	wasmer := enginetest.InWorkers(t, buildWasmer(t), "serve")
	both := map[string]enginetest.Side{"wazero": enginetest.InProcess(t, compiler), "wasmer": wasmer}
	enginetest.Same(t, both, hostile())
	enginetest.Same(t, both, builtOtherwise(t))
	if !testing.Short() { // its compiler takes seconds for each in Go
		enginetest.Same(t, both, examplesInGo(t))
		testSleep(t, both)
	}
}

// testSleep has a guest in Go sleep for as long as it wants to, and for an hour, until
// its deadline.
func testSleep(t *testing.T, sides map[string]enginetest.Side) {
	t.Helper()
	g := enginetest.Guest{
		Name: "sleep", Inputs: []string{`{"milliseconds":30}`, `{"milliseconds":0}`},
		Binary: guesttest.Build(t, "wasmwhisk/engines/testdata/sleep", guest.Reactor),
	}
	enginetest.Same(t, sides, []enginetest.Guest{g})
	for name, open := range sides {
		t.Run("a sleep that is stopped on "+name, func(t *testing.T) {
			r, err := open(t.Context(), g.Binary, sandbox.Policy{})
			require.NoError(t, err)
			defer r.Close()
			out := r.Run(t.Context(), sandbox.Activation{
				Input:    json.RawMessage(`{"milliseconds":3600000}`),
				Deadline: time.Now().Add(100 * time.Millisecond),
			})
			assert.ErrorIs(t, out.Err, context.DeadlineExceeded)
			assert.Equal(t, sandbox.DeveloperError, out.Status)
		})
	}
}

// buildWasmer gives the program that has the engine wasmer.
func buildWasmer(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the engine wasmer is for linux/amd64")
	}
	cgo, err := exec.CommandContext(t.Context(), "go", "env", "CGO_ENABLED").Output()
	if err != nil || string(cgo) != "1\n" {
		t.Skip("the engine wasmer needs a go command with cgo")
	}
	program := filepath.Join(t.TempDir(), "wasmer-worker")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-cover=false", "-o", program, "wasmwhisk/engines/wasmer/worker").CombinedOutput()
	require.NoError(t, err, "%s", said)
	return program
}

func TestSameGenerated(t *testing.T) {
	t.Parallel()
	needWasmtime(t)
	enginetest.SameGenerated(t, compiler, openWasmtime, 300)
}

func FuzzWazeroEqualsWasmtime(f *testing.F) {
	needWasmtime(f)
	enginetest.FuzzSame(f, compiler, openWasmtime)
}

// examplesInGo are those of this repository, two of them as commands, too.
func examplesInGo(t *testing.T) []enginetest.Guest {
	t.Helper()
	net := enginetest.Guest{Name: "net", Inputs: []string{`{"url":"` + site(t) + `"}`, `{"url":"http://192.0.2.1/"}`, `{}`}, Varies: true, Policy: loopback(t)}
	var guests []enginetest.Guest
	for _, g := range []enginetest.Guest{
		{Name: "hello", Inputs: []string{`{"name":"Mike"}`, `{}`}},
		{Name: "add", Inputs: []string{`{"param1":3,"param2":4}`, `{"param1":1.5,"param2":2}`, `{}`, `[1]`}},
		{Name: "hash", Inputs: []string{`{"iterations":5,"input":"abc"}`, `{"iterations":1}`}},
		{Name: "prime", Inputs: []string{`{"upperBound":2000}`, `{"upperBound":-5}`}},
		{Name: "clock", Inputs: []string{`{}`}, Varies: true},
		{Name: "random", Inputs: []string{`{}`}, Varies: true},
		{Name: "filesys", Inputs: []string{`{}`}, Varies: true, Policy: directory(t)},
		net,
		{Name: "block", Inputs: []string{`{}`}, Varies: true, Policy: loopback(t)},
	} {
		modes := []guest.Mode{guest.Reactor}
		if g.Name == "hello" || g.Name == "add" {
			modes = guesttest.Modes()
		}
		guests = append(guests, built(t, g, "wasmwhisk/examples/"+g.Name, modes)...)
	}
	return guests
}

// built is a guest in the modes that a Go package can be built in.
func built(t *testing.T, g enginetest.Guest, pkg string, modes []guest.Mode) (guests []enginetest.Guest) {
	t.Helper()
	for _, mode := range modes {
		each := g
		each.Name += " as " + string(mode)
		each.Binary = guesttest.Build(t, pkg, mode)
		guests = append(guests, each)
	}
	return guests
}

// builtOtherwise are the examples that are not in Go. The one in C is left out where
// nothing can build it.
func builtOtherwise(t *testing.T) []enginetest.Guest {
	t.Helper()
	inputs := []string{`{"param1":3,"param2":4}`, `{"param1":1.5,"param2":2}`, `{}`}
	source, err := os.ReadFile("../examples/wat/add.wat")
	require.NoError(t, err)
	guests := []enginetest.Guest{{Name: "wat/add", Binary: wat.Must(string(source)), Inputs: inputs}}
	binary, err := guest.CompileC(t.Context(), "../examples/c/add.c")
	if errors.Is(err, guest.ErrNoClang) {
		t.Log(err)
		return guests
	}
	require.NoError(t, err)
	return append(guests, enginetest.Guest{Name: "c/add", Binary: binary, Inputs: inputs})
}

func directory(t *testing.T) sandbox.Policy {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	mounts := []wasi.Mount{{Guest: "/tmp/filesys", Root: root, Access: wasi.ReadWrite}}
	return sandbox.Policy{Capabilities: sandbox.Capabilities{Mounts: mounts}}
}

// loopback lets guests reach the servers of a test and nothing else.
func loopback(t *testing.T) sandbox.Policy {
	t.Helper()
	client, err := host.NewClient(host.Policy{
		Allow:        []string{"127.0.0.1"},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return sandbox.Policy{Capabilities: sandbox.Capabilities{HTTP: client}}
}

// site is a server that says something.
func site(t *testing.T) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("short and stout"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// hostile are guests that come to other ends than an answer.
func hostile() []enginetest.Guest {
	const reactor = `(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
		(memory (export "memory") 2 4) (table $t 1 4 funcref) (global $g (mut f64) (f64.const 1.5))
		(data (i32.const 0) "{\"ok\":true}\nto the log\n\ff\fe")
		(func $say (param $fd i32) (param $p i32) (param $n i32)
			(i32.store (i32.const 256) (local.get $p)) (i32.store (i32.const 260) (local.get $n))
			(drop (call $fd_write (local.get $fd) (i32.const 256) (i32.const 1) (i32.const 264))))
		(func $deep (call $deep) (call $deep))
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
		(func (export "ow_run") (param i32 i32) (result i64)
			(call $say (i32.const 1) (i32.const 12) (i32.const 11)) (call $say (i32.const 2) (i32.const 0) (i32.const 25)) `
	var guests []enginetest.Guest
	for name, body := range map[string]string{
		"answers":                 "i64.const 11",
		"trap":                    "unreachable",
		"memory out of bounds":    "(drop (i32.load (i32.const -1))) i64.const 11",
		"division by zero":        "(i64.div_s (i64.const 1) (i64.const 0))",
		"null in a table":         "(call_indirect (i32.const 0)) i64.const 11",
		"endless recursion":       "call $deep i64.const 11",
		"exit 0":                  "(call $proc_exit (i32.const 0)) unreachable",
		"exit 3":                  "(call $proc_exit (i32.const 3)) unreachable",
		"result out of bounds":    "i64.const 0xffffffff00000010",
		"result that is not JSON": "(i64.const 0x0000000c00000005)",
		"memory that grows":       "(i64.extend_i32_s (i32.mul (i32.const 11) (i32.eq (memory.grow (i32.const 2)) (i32.const 2))))",
		"memory that grows far":   "(i64.extend_i32_s (i32.mul (i32.const 11) (i32.eq (memory.grow (i32.const 3)) (i32.const -1))))",
		"table that grows":        "(i64.extend_i32_s (i32.mul (i32.const 11) (i32.eq (table.grow $t (ref.null func) (i32.const 1)) (i32.const 1))))",
		"global that is kept": `(global.set $g (f64.mul (global.get $g) (f64.const 2)))
			(i64.mul (i64.const 11) (i64.extend_i32_u (f64.eq (global.get $g) (f64.const 3))))`,
		"memory that is kept": `(i32.store (i32.const 70000) (i32.add (i32.load (i32.const 70000)) (i32.const 1)))
			(i64.mul (i64.const 11) (i64.extend_i32_u (i32.load (i32.const 70000))))`,
	} {
		guests = append(guests, enginetest.Guest{Name: name, Binary: wat.Must(reactor + body + ")"), Inputs: []string{`{}`, `{"a":[1,2]}`}})
	}
	return guests
}
