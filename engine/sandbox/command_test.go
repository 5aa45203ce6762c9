package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
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

// spoiled is put in front of a command: it fails unless memory and a global are
// as new, spoils both, and has the memory grow.
const spoiled = `
    (if (i32.or (i32.or (global.get $runs) (i32.load (i32.const 131000))) (i32.ne (memory.size) (i32.const 2))) (then unreachable))
    (global.set $runs (i32.const 1))
    (i32.store (i32.const 131000) (i32.const 1))
    (drop (memory.grow (i32.const 1)))
    (if (i32.load (i32.const 131072)) (then unreachable))
    (i32.store (i32.const 131072) (i32.const 1))`

// TestEndsOfCommands has each command end five times, and the next activation
// find nothing of it.
func TestEndsOfCommands(t *testing.T) {
	t.Parallel()
	const answer = `(call $say (i32.const 1) (i32.const 1024) (call $read))`
	for _, tc := range []struct {
		name, body string
		input      string
		status     sandbox.Status
		err        string // "" when the input comes back
	}{
		{name: "returns", body: answer},
		{name: "exits", body: answer + `(call $proc_exit (i32.const 0))`},
		{name: "exits with an error of its own", body: answer + `(call $proc_exit (i32.const 3))`, input: `{"error":"mine"}`, status: sandbox.ApplicationError},
		{name: "exits with a code", body: answer + `(call $proc_exit (i32.const 3))`, status: sandbox.DeveloperError, err: "exit code 3"},
		{name: "reads to the end", body: answer + `(if (call $read) (then unreachable))`},
		{name: "reads little by little", body: `
    (loop $more
      (i32.store (i32.const 256) (i32.add (i32.const 1024) (local.get $n)))
      (i32.store (i32.const 260) (i32.const 1))
      (if (call $fd_read (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 264)) (then unreachable))
      (local.set $n (i32.add (local.get $n) (i32.load (i32.const 264))))
      (br_if $more (i32.load (i32.const 264))))
    (call $say (i32.const 1) (i32.const 1024) (local.get $n))`},
		{name: "reads nothing", body: `(call $say (i32.const 1) (i32.const 0) (i32.const 2))`, input: `{}`},
		{name: "says nothing", body: `(drop (call $read))`, status: sandbox.DeveloperError, err: "did not return a dictionary or array"},
		{name: "traps", body: answer + `unreachable`, status: sandbox.DeveloperError, err: "trap: unreachable"},
		{name: "spins", body: answer + `(loop $l (br $l))`, status: sandbox.DeveloperError, err: "deadline exceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			src := program("(local $n i32)"+spoiled+tc.body, `(global $runs (mut i32) (i32.const 0)) (data (i32.const 0) "{}")`)
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, src, sandbox.Policy{})
				for n := range 5 {
					a := activation(fmt.Sprintf(`{"n":%d}`, n))
					if tc.input != "" {
						a.Input = json.RawMessage(tc.input)
					}
					if tc.name == "spins" {
						a.Deadline = time.Now().Add(50 * time.Millisecond)
					}
					out := tpl.Run(t.Context(), a)
					assert.Equal(t, tc.status, out.Status)
					if tc.err != "" {
						assert.ErrorContains(t, out.Err, tc.err)
						continue
					}
					require.NoError(t, out.Err)
					assert.Equal(t, string(a.Input), string(out.Result))
				}
			})
		})
	}
}

// plainAnswer is what testdata/plain answers.
type plainAnswer struct {
	Input       struct{ N int }
	Env         []string
	First, Then map[string]string
	Salt        string
}

// TestPlainGoCommandsDoNotRepeatThemselves has a program that knows nothing of
// us draw random numbers before and after it reads its input, in activations at
// once and one after the other.
func TestPlainGoCommandsDoNotRepeatThemselves(t *testing.T) {
	if testing.Short() {
		t.Skip("with the race detector the compiler takes 20 s for a Go module")
	}
	t.Parallel()
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	module, err := rt.Compile(t.Context(), guesttest.Build(t, "wasmwhisk/engine/sandbox/testdata/plain", guest.Command))
	require.NoError(t, err)
	tpl, err := sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), sandbox.Policy{Env: []string{"KEY=value"}})
	require.NoError(t, err)
	var answers [8]plainAnswer
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for n := range len(answers) / 2 {
				n := half*len(answers)/2 + n
				a := activation(fmt.Sprintf(`{"N":%d}`, n))
				a.Context = abi.Context{{Name: "activation_id", Value: fmt.Sprint(n)}}
				out := tpl.Run(t.Context(), a)
				if assert.NoError(t, out.Err) {
					assert.NoError(t, json.Unmarshal(out.Result, &answers[n]))
				}
			}
		})
	}
	wg.Wait()

	seen := map[string]bool{}
	fresh := func(generator, number string) {
		assert.False(t, seen[generator+number], "%s gave %s twice", generator, number)
		seen[generator+number] = true
	}
	for n, a := range answers {
		assert.Equal(t, n, a.Input.N)
		assert.Equal(t, []string{"KEY=value", fmt.Sprintf("__OW_ACTIVATION_ID=%d", n)}, a.Env)
		for _, numbers := range []map[string]string{a.First, a.Then} {
			require.Len(t, numbers, 5)
			for generator, number := range numbers {
				fresh(generator, number)
			}
		}
		fresh("salt", a.Salt)
	}
}
