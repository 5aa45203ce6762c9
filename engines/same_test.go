// Package engines_test holds the engines against each other.
package engines_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
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
	all := map[string]enginetest.Open{"wazero": compiler, "wazero-interpreter": interpreter}
	if wasmtime.Missing == "" {
		all["wasmtime"] = openWasmtime
	}
	enginetest.Same(t, all, append(examples(t), hostile()...))
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

// examples are those of this repository but for those that need a server, and two
// of them as commands, too. A short test runs only those two.
func examples(t *testing.T) []enginetest.Guest {
	var guests []enginetest.Guest
	for _, g := range []enginetest.Guest{
		{Name: "hello", Inputs: []string{`{"name":"Mike"}`, `{}`}},
		{Name: "add", Inputs: []string{`{"param1":3,"param2":4}`, `{"param1":1.5,"param2":2}`, `{}`, `[1]`}},
		{Name: "hash", Inputs: []string{`{"iterations":5,"input":"abc"}`, `{"iterations":1}`}},
		{Name: "prime", Inputs: []string{`{"upperBound":2000}`, `{"upperBound":-5}`}},
		{Name: "clock", Inputs: []string{`{}`}, Varies: true},
		{Name: "random", Inputs: []string{`{}`}, Varies: true},
		{Name: "filesys", Inputs: []string{`{}`}, Varies: true, Policy: sandbox.Policy{Capabilities: directory(t)}},
		{Name: "net", Inputs: []string{`{}`}},
	} {
		modes := []guest.Mode{guest.Reactor}
		if g.Name == "hello" || g.Name == "add" {
			modes = guesttest.Modes()
		} else if testing.Short() {
			continue
		}
		for _, mode := range modes {
			each := g
			each.Name += " as " + string(mode)
			each.Binary = guesttest.Build(t, "wasmwhisk/examples/"+g.Name, mode)
			guests = append(guests, each)
		}
	}
	return guests
}

func directory(t *testing.T) sandbox.Capabilities {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, root.Close()) })
	return sandbox.Capabilities{Mounts: []wasi.Mount{{Guest: "/data", Root: root, Access: wasi.ReadWrite}}}
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
