package sandbox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// offering is a command with the exports of a reactor: _start counts itself, does
// what body says, and answers as a command does. A run fails unless it finds the
// count at 1 and a warm-up, and counts on.
func offering(body string) string {
	return importing(`(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "whisk" "deadline" (func $deadline (result i64)))`, program(`
    (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    `+body+`
    (call $say (i32.const 1) (i32.const 16) (i32.const 15))`, `
  (data (i32.const 0) "{\"by\":\"run\"}") (data (i32.const 16) "{\"by\":\"start\"}\n")
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "ow_warm_up") (i32.store (i32.const 516) (i32.const 1)))
  (func (export "ow_run") (param i32 i32) (result i64)
    (if (i32.or (i32.ne (i32.load (i32.const 512)) (i32.const 1)) (i32.ne (i32.load (i32.const 516)) (i32.const 1))) (then unreachable))
    (i32.store (i32.const 512) (i32.const 2))
    (drop (memory.grow (i32.const 1)))
    (i64.const 12))`))
}

// offer is a read of the input into no buffers.
const offer = `(drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 264)))`

func TestCommandsAreAskedAsReactorsWhereTheyOfferIt(t *testing.T) {
	t.Parallel()
	const random = `(drop (call $random_get (i32.const 600) (i32.const 8)))`
	for _, tc := range []struct {
		name, src string
		policy    sandbox.Policy
		reason    string // why it is not
	}{
		{name: "offers", src: offering(offer)},
		{name: "asks before it offers", src: offering(random + offer)},
		{name: "does not offer", src: offering(""), reason: "ends before it is ready"},
		{name: "reads", src: offering(`(drop (call $read))` + offer), reason: "no input yet"},
		{name: "calls the host", src: offering(`(drop (call $deadline))` + offer), reason: "calls the host"},
		{name: "writes", src: offering(`(call $say (i32.const 2) (i32.const 0) (i32.const 12))` + offer), reason: "it calls fd_write"},
		{name: "has no warm-up", src: strings.Replace(offering(random+offer), `"ow_warm_up"`, `"warm_up"`, 1), reason: "random_get"},
		{name: "lacks an export", src: strings.Replace(offering(offer), `"ow_alloc"`, `"alloc"`, 1), reason: "none"},
		{name: "wants none", src: offering(offer), policy: sandbox.Policy{NoSnapshot: true}, reason: "no snapshots"},
		{name: "is an ActionLoop", src: offering(offer), policy: sandbox.Policy{Contract: abi.ActionLoop}, reason: "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, tc.src, tc.policy)
				require.NoError(t, tpl.Probe(t.Context()).Err)
				if why := sandbox.WhyNoSnapshot(tpl); tc.reason == "" || tc.reason == "none" {
					assert.NoError(t, why)
				} else {
					assert.ErrorContains(t, why, tc.reason)
				}
				want := `{"by":"start"}`
				if tc.reason == "" {
					want = `{"by":"run"}`
				}
				for range 5 {
					out := tpl.Run(t.Context(), activation(`{}`))
					if tc.policy.Contract == abi.ActionLoop {
						assert.ErrorContains(t, out.Err, "actionloop contract", "its answer is not on fd 3")
						continue
					}
					require.NoError(t, out.Err)
					assert.Equal(t, want, string(out.Result))
				}
			})
		})
	}
}

func TestCommandsThatFailBeforeTheyOffer(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		for body, want := range map[string]string{
			"unreachable":                       "trap: unreachable",
			"(call $proc_exit (i32.const 4))":   "exit code 4",
			"(drop (call $read)) (unreachable)": "trap: unreachable",
		} {
			tpl := template(t, rt, offering(body), sandbox.Policy{})
			assert.NoError(t, tpl.Probe(t.Context()).Err, "nothing is known of it before it runs")
			assert.EqualError(t, tpl.Run(t.Context(), activation(`{}`)).Err, want)
		}
		spins := template(t, rt, offering("(loop $l (br $l))"), sandbox.Policy{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, spins.Probe(ctx).Err, context.DeadlineExceeded)
	})
}

func TestCommandsOfTheSDKOfferThemselves(t *testing.T) {
	t.Parallel()
	binary := guesttest.Build(t, "wasmwhisk/examples/add", guest.Command)
	rt, err := wazero.NewInterpreter(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	module, err := rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	tpl, err := sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), sandbox.Policy{})
	require.NoError(t, err)
	for range 3 {
		out := tpl.Run(t.Context(), activation(`{"param1":5,"param2":4}`))
		require.NoError(t, out.Err)
		assert.Equal(t, `{"result":9}`, string(out.Result))
	}
	assert.NoError(t, sandbox.WhyNoSnapshot(tpl))
}
