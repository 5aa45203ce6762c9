package sandbox_test

import (
	"context"
	"os"
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
)

// starting is a reactor with a start-up of its own, which counts itself at 512
// and does what body says. Each run fails unless it finds the count at 1, and
// counts on.
func starting(body string) string {
	return importing(`(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "whisk" "deadline" (func $deadline (result i64)))`, reactor(`
    (if (i32.ne (i32.load (i32.const 512)) (i32.const 1)) (then unreachable))
    (i32.store (i32.const 512) (i32.const 2))
    global.get $ok`, say+`
  (func (export "_initialize") (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1))) `+body+`)`))
}

// opensFile opens the file "ok" of the only directory that there is.
const opensFile = `
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 2) (i32.const 2) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 600))
      (then unreachable))`

// withFile grants a directory in which there is an empty file.
func withFile(t *testing.T, name string) sandbox.Policy {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, root.Close()) })
	require.NoError(t, root.WriteFile(name, nil, 0o600))
	return sandbox.Policy{Capabilities: sandbox.Capabilities{Mounts: []wasi.Mount{{Guest: "/data", Root: root, Access: wasi.ReadOnly}}}}
}

func TestStartUpIsSharedWhereThatIsSound(t *testing.T) {
	t.Parallel()
	directory := withFile(t, "ok")
	for _, tc := range []struct {
		name, src string
		policy    sandbox.Policy
		reason    string // why there is no snapshot
		new       bool   // every activation takes a new instance
	}{
		{name: "pure", src: starting("")},
		{name: "command", src: catProgram},
		{name: "command of an SDK", src: strings.Replace(catProgram, `(func (export "_start")`, `(func (export "ow_warm_up") unreachable) (func (export "_start")`, 1)},
		{name: "entropy", src: starting(`(drop (call $random_get (i32.const 600) (i32.const 8)))`), reason: "random_get"},
		{name: "environment", src: starting(`(drop (call $environ_sizes_get (i32.const 600) (i32.const 604)))`), reason: "environ_sizes_get"},
		{name: "clock", src: starting(`(drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 600)))`), reason: "clock_time_get"},
		{name: "file", src: starting(opensFile), policy: directory, reason: "path_open"},
		{name: "output", src: starting(`(call $say (i32.const 1) (i32.const 0) (i32.const 12))`), reason: "fd_write"},
		{name: "host", src: starting(`(drop (call $deadline))`), reason: "calls the host"},
		{name: "unwanted", src: starting(""), policy: sandbox.Policy{NoSnapshot: true}, reason: "no snapshots"},
		{
			name: "start function", src: strings.Replace(starting(`(drop (call $environ_sizes_get (i32.const 600) (i32.const 604)))`), `(func (export "_initialize")`,
				`(start $first) (func $first (drop (call $environ_sizes_get (i32.const 600) (i32.const 604)))) (func (export "_initialize")`, 1),
			reason: "environ_sizes_get", new: true,
		},
		{name: "tables", src: forgetful, reason: "tables are written", new: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, tc.src, tc.policy)
				require.NoError(t, tpl.Probe(t.Context()).Err)
				if why := sandbox.WhyNoSnapshot(tpl); tc.reason == "" {
					assert.NoError(t, why)
				} else {
					assert.ErrorContains(t, why, tc.reason)
				}
				assert.Equal(t, !tc.new, sandbox.PutsBack(tpl))
				for range 5 {
					require.NoError(t, tpl.Run(t.Context(), activation(`{"ok":true}`)).Err)
				}
			})
		})
	}
}

// A guest says with a warm-up that it asks anew in each run for what it asked for
// at its start.
func TestWarmUpMakesSnapshotsSound(t *testing.T) {
	t.Parallel()
	src := strings.Replace(starting(`(drop (call $random_get (i32.const 600) (i32.const 8)))`), `(func (export "_initialize")`,
		`(func (export "ow_warm_up") (i32.store (i32.const 520) (i32.const 5)))
  (func (export "_initialize")`, 1)
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, src, sandbox.Policy{})
		require.NoError(t, tpl.Probe(t.Context()).Err)
		assert.NoError(t, sandbox.WhyNoSnapshot(tpl))
	})
}

// remembering remembers what a clock tells 10 ms after the beginning of its warm-up,
// and traps in any run that does not find that in the past. A clock that begins anew
// with each sandbox would be far behind.
func remembering(clock int) string {
	return strings.ReplaceAll(importing(`
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))`, reactor(`
    (if (i64.eqz (i64.load (i32.const 528))) (then unreachable))
    (if (i64.le_u (call $now (i32.const 536)) (i64.load (i32.const 528))) (then unreachable))
    global.get $ok`, `
  (func $now (param $at i32) (result i64)
    (if (call $clock_time_get (i32.const CLOCK) (i64.const 0) (local.get $at)) (then unreachable))
    (i64.load (local.get $at)))
  (func (export "ow_warm_up")
    (drop (call $now (i32.const 520)))
    (loop $wait (br_if $wait (i64.lt_u (i64.sub (call $now (i32.const 528)) (i64.load (i32.const 520))) (i64.const 10000000)))))`)), "CLOCK", strconv.Itoa(clock))
}

// A snapshot may have seen a clock: for whoever begins with it that was earlier.
func TestClockGoesOnAfterASnapshot(t *testing.T) {
	t.Parallel()
	for name, clock := range map[string]int{"wall clock": 0, "monotonic clock": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, remembering(clock), sandbox.Policy{})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a clock may stand still
				defer cancel()
				require.NoError(t, tpl.Probe(ctx).Err)
				require.NoError(t, sandbox.WhyNoSnapshot(tpl))
				for range 5 {
					require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
				}
			})
		})
	}
}

func TestNothingOfAnActivationIsInASnapshot(t *testing.T) {
	t.Parallel()
	// It copies its environment's size at its start, and a run tells it.
	src := strings.Replace(starting(`(drop (call $environ_sizes_get (i32.const 600) (i32.const 604)))`), `(func (export "_initialize")`,
		`(func (export "ow_warm_up")) (func (export "_initialize")`, 1)
	src = strings.Replace(src, "global.get $ok", "(if (i32.load (i32.const 600)) (then unreachable)) global.get $ok", 1)
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, src, sandbox.Policy{Env: []string{"SECRET=1"}})
		a := activation(`{}`)
		a.Context = abi.Context{{Name: "api_key", Value: "secret"}}
		require.NoError(t, tpl.Run(t.Context(), a).Err)
	})
}

func TestStartUpThatFails(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		out := template(t, rt, starting("unreachable"), sandbox.Policy{}).Probe(t.Context())
		assert.EqualError(t, out.Err, "trap: unreachable")
		assert.Equal(t, sandbox.DeveloperError, out.Status)

		spins := template(t, rt, starting("(loop $l (br $l))"), sandbox.Policy{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, spins.Probe(ctx).Err, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, spins.Probe(ctx).Err, context.DeadlineExceeded, "a second time")
	})
}

// A start-up may work with an environment only, which a snapshot has not.
func TestStartUpThatNeedsItsEnvironment(t *testing.T) {
	t.Parallel()
	src := starting(`
    (drop (call $environ_sizes_get (i32.const 600) (i32.const 604)))
    (if (i32.eqz (i32.load (i32.const 600))) (then unreachable))`)
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, src, sandbox.Policy{Env: []string{"KEY=value"}})
		require.NoError(t, tpl.Probe(t.Context()).Err)
		require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
	})
}
