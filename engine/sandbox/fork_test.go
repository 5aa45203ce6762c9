package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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
	"wasmwhisk/internal/wat"
)

// forking is a policy that has commands forked.
func forking() sandbox.Policy { return sandbox.Policy{Fork: true, Env: []string{"KEY=value"}} }

// compiled gives a program of the engine that can fork commands.
func compiled(t *testing.T, binary []byte) *sandbox.Program {
	t.Helper()
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	module, err := rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	program := sandbox.NewProgram(module)
	t.Cleanup(func() { assert.NoError(t, program.Close(context.WithoutCancel(t.Context()))) })
	return program
}

func templateOf(t *testing.T, program *sandbox.Program, policy sandbox.Policy) *sandbox.Template {
	t.Helper()
	tpl, err := sandbox.New(program, sandbox.HostFuncs(), policy)
	require.NoError(t, err)
	return tpl
}

// spoils fails unless what it wrote the last time is not there, and writes it: to
// memory, to a global, and to memory that it adds.
const spoils = `
    (if (i32.or (i32.or (global.get $runs) (i32.load (i32.const 131000))) (i32.ne (memory.size) (i32.const 3))) (then unreachable))
    (global.set $runs (i32.const 1))
    (i32.store (i32.const 131000) (i32.const 1))
    (drop (memory.grow (i32.const 2)))
    (if (i32.load (i32.const 200000)) (then unreachable))
    (i32.store (i32.const 200000) (i32.const 1))`

// TestEndsOfForkedCommands has each command end five times, and the next activation
// find nothing of it, nor start again what the first has started.
func TestEndsOfForkedCommands(t *testing.T) {
	t.Parallel()
	const answer = `(call $say (i32.const 1) (i32.const 1024) (local.get $n))`
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
		{name: "closes its input", body: answer + `(if (call $fd_close (i32.const 0)) (then unreachable)) (if (i32.ne (call $fd_read (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 264)) (i32.const 8)) (then unreachable))`},
		{name: "says nothing", status: sandbox.DeveloperError, err: "did not return a dictionary or array"},
		{name: "traps", body: answer + `unreachable`, status: sandbox.DeveloperError, err: "trap: unreachable"},
		{name: "nests", body: answer + `(call $nest)`, status: sandbox.DeveloperError, err: "call stack exhausted"},
		{name: "spins", body: answer + `(loop $l (br $l))`, status: sandbox.DeveloperError, err: "deadline exceeded"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			src := importing(`(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))`, program(`(local $n i32)
    (if (global.get $starts) (then unreachable))
    (global.set $starts (i32.const 1))
    (drop (memory.grow (i32.const 1)))
    (local.set $n (call $read))`+spoils+tc.body, `(global $runs (mut i32) (i32.const 0)) (global $starts (mut i32) (i32.const 0)) (func $nest (call $nest))`))
			tpl := templateOf(t, compiled(t, wat.Must(src)), forking())
			require.NoError(t, tpl.Probe(t.Context()).Err)
			require.NoError(t, sandbox.WhyNotForked(tpl))
			for n := range 5 {
				a := activation(fmt.Sprintf(`{"n":%d}`, n))
				if tc.input != "" {
					a.Input = json.RawMessage(tc.input)
				}
				if tc.name == "spins" {
					a.Deadline = time.Now().Add(50 * time.Millisecond)
				}
				out := tpl.Run(t.Context(), a)
				assert.Equal(t, tc.status, out.Status, out.Err)
				if tc.err != "" {
					assert.ErrorContains(t, out.Err, tc.err)
					continue
				}
				require.NoError(t, out.Err)
				assert.Equal(t, string(a.Input), string(out.Result))
			}
			assert.NoError(t, sandbox.WhyNotForked(tpl))
		})
	}
}

// TestCommandsThatAreNotForked start anew for each activation, whatever was asked
// for, and find in each all that such a command does.
func TestCommandsThatAreNotForked(t *testing.T) {
	t.Parallel()
	const answer = `(call $say (i32.const 1) (i32.const 1024) (call $read))`
	const random = `(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))`
	const poll = `(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))`
	for _, tc := range []struct {
		name, src string
		policy    sandbox.Policy
		reason    string // "" if it is not even tried
	}{
		{name: "writes before it reads", src: catProgram, reason: "it calls fd_write"},
		{name: "does not read", src: program(`(call $say (i32.const 1) (i32.const 0) (i32.const 8))`, `(data (i32.const 0) "{\"n\":0}\n")`), reason: "ends before it reads"},
		{name: "exits before it reads", src: program(`(call $say (i32.const 1) (i32.const 0) (i32.const 8)) (call $proc_exit (i32.const 0))`, `(data (i32.const 0) "{\"n\":0}\n")`), reason: "exit code 0"},
		{name: "draws before it reads", src: importing(random, program(`(drop (call $random_get (i32.const 600) (i32.const 32)))`+answer, "")), reason: "keeps them where they cannot be renewed"},
		{name: "draws much before it reads", src: importing(random, program(`(drop (call $random_get (i32.const 600) (i32.const 33)))`+answer, "")), reason: "more random bytes than Go's runtime"},
		{name: "waits before it reads", src: importing(poll, program(`(drop (call $poll (i32.const 600) (i32.const 700) (i32.const 1) (i32.const 800)))`+answer, "")), reason: "it waits before it reads"},
		{name: "reads through a table that it writes", src: program(`(table.set (i32.const 0) (ref.null func))`+answer, `(table 1 funcref)`), reason: "tables are written"},
		{name: "wants no snapshot", src: program(answer, ""), policy: sandbox.Policy{NoSnapshot: true}},
		{name: "is no command", src: echoes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.policy.Fork = true
			tpl := templateOf(t, compiled(t, wat.Must(tc.src)), tc.policy)
			for range 3 {
				out := tpl.Run(t.Context(), activation(`{"n":0}`))
				require.NoError(t, out.Err)
				assert.JSONEq(t, `{"n":0}`, string(out.Result))
			}
			if tc.reason == "" {
				assert.False(t, sandbox.Forks(tpl))
			} else {
				assert.ErrorContains(t, sandbox.WhyNotForked(tpl), tc.reason)
			}
		})
	}
}

// TestForksOnAnyEngine give the same, by whatever way the engine has.
func TestForksOnAnyEngine(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		tpl := template(t, rt, addsProgram, forking())
		t.Cleanup(func() { assert.NoError(t, sandbox.CloseProgram(tpl)) })
		for range 5 {
			out := tpl.Run(t.Context(), activation(`{}`))
			require.NoError(t, out.Err)
			assert.Equal(t, `{"result":9}`, string(out.Result))
		}
	})
}

// TestForkedActionLoops read a line with the context of their activation.
func TestForkedActionLoops(t *testing.T) {
	t.Parallel()
	src := program(`(call $say (i32.const 3) (i32.const 1024) (call $read))`, "")
	tpl := templateOf(t, compiled(t, wat.Must(src)), sandbox.Policy{Fork: true, Contract: abi.ActionLoop})
	for n := range 4 {
		a := activation(fmt.Sprintf(`{"n":%d}`, n))
		a.Context = abi.Context{{Name: "activation_id", Value: fmt.Sprint(n)}}
		out := tpl.Run(t.Context(), a)
		require.NoError(t, out.Err)
		assert.Equal(t, fmt.Sprintf(`{"value":{"n":%d},"activation_id":"%d"}`, n, n), string(out.Result))
	}
	assert.NoError(t, sandbox.WhyNotForked(tpl))
}

// TestForkedGoCommands has a program that knows nothing of us.
func TestForkedGoCommands(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("with the race detector the compiler takes 20 s for a Go module")
	}
	program := compiled(t, guesttest.Build(t, "wasmwhisk/engine/sandbox/testdata/forked", guest.Command))
	for name, test := range map[string]func(*testing.T, *sandbox.Program){
		"do what plain ones do":    testForkedEqualPlain,
		"spin":                     testForkedSpin,
		"do not repeat themselves": testForkedDraw,
		"see":                      testForkedSee,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, program)
		})
	}
}

// testForkedEqualPlain compares the outcomes of the program, forked and started
// anew.
func testForkedEqualPlain(t *testing.T, program *sandbox.Program) {
	policy := forking()
	policy.Limits.MemoryPages = 1024
	forked := templateOf(t, program, policy)
	policy.Fork = false
	plain := templateOf(t, program, policy)
	text := strings.Repeat("a long text of the caller's ", 30_000)
	for round := range 2 {
		for _, do := range []string{"", "exit", "panic", "nest", "grow", "log", "echo", "again", "sleep", "invalid"} {
			for n, text := range []string{"short", text} {
				input, err := json.Marshal(map[string]any{"Param1": round, "Param2": n, "Do": do, "Text": text})
				require.NoError(t, err)
				if do == "invalid" {
					input = json.RawMessage(`{"Param1":"no number"}`)
				}
				got, want := forked.Run(t.Context(), activation(string(input))), plain.Run(t.Context(), activation(string(input)))
				assert.Equal(t, want.Status, got.Status, "%s: %v", do, got.Err)
				assert.Equal(t, string(want.Result), string(got.Result), do)
				assert.Equal(t, linesOf(want.Logs), linesOf(got.Logs), do)
				assert.Equal(t, fmt.Sprint(want.Err), fmt.Sprint(got.Err), do)
			}
		}
	}
	require.NoError(t, sandbox.WhyNotForked(forked))
}

// linesOf are lines without their times and without addresses.
func linesOf(logs sandbox.Logs) (all []string) {
	for _, line := range logs.Lines {
		text, _, _ := strings.Cut(line.Text, "0x")
		all = append(all, line.Stream.String()+" "+text)
	}
	return all
}

// testForkedSpin has runs meet their deadlines, and nobody after them.
func testForkedSpin(t *testing.T, program *sandbox.Program) {
	tpl := templateOf(t, program, forking())
	for range 3 {
		a := activation(`{"Do":"spin"}`)
		a.Deadline = time.Now().Add(100 * time.Millisecond)
		assert.ErrorIs(t, tpl.Run(t.Context(), a).Err, context.DeadlineExceeded)
		out := tpl.Run(t.Context(), activation(`{"Param1":1,"Param2":2}`))
		require.NoError(t, out.Err)
		assert.Equal(t, `{"result":3}`, string(out.Result))
	}
	require.NoError(t, sandbox.WhyNotForked(tpl))
}

// drawn is what the guest answers when it draws.
type drawn struct {
	CryptoRand string `json:"crypto/rand"`
	MathRand   string `json:"math/rand"`
	MathRandV2 string `json:"math/rand/v2"`
	Maphash    string
	Order      string
	Fixed      string
}

// testForkedDraw has activations at once, and one after
// the other, draw from every generator that Go has: none gives a number twice but
// the one that was given its seed by the author.
func testForkedDraw(t *testing.T, program *sandbox.Program) {
	tpl := templateOf(t, program, forking())
	var mu sync.Mutex
	seen, fixed := map[string]bool{}, map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 8 {
				out := tpl.Run(t.Context(), activation(`{"Do":"draw"}`))
				var d drawn
				if !assert.NoError(t, out.Err) || !assert.NoError(t, json.Unmarshal(out.Result, &d)) {
					return
				}
				mu.Lock()
				for _, number := range []string{d.CryptoRand, d.MathRand, d.MathRandV2, d.Maphash, d.Order} {
					assert.False(t, seen[number], "%s was drawn twice", number)
					assert.NotEmpty(t, number)
					seen[number] = true
				}
				fixed[d.Fixed] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(t, sandbox.WhyNotForked(tpl))
	assert.Len(t, fixed, 1, "first numbers of a sequence that the author chose")
}

// testForkedSee finds the environment of the action, no argument but the name, and
// a time that goes on.
func testForkedSee(t *testing.T, program *sandbox.Program) {
	began := time.Now().UnixNano()
	for _, key := range []string{"KEY=value", "KEY=another"} {
		tpl := templateOf(t, program, sandbox.Policy{Fork: true, Env: []string{key}})
		last := began
		for range 3 {
			a := activation(`{"Do":"look"}`)
			a.Context = usualContext()
			out := tpl.Run(t.Context(), a)
			require.NoError(t, out.Err)
			var seen struct {
				Args, Env   []string
				Time, Since int64
			}
			require.NoError(t, json.Unmarshal(out.Result, &seen))
			assert.Equal(t, []string{"action"}, seen.Args)
			assert.Equal(t, []string{key}, seen.Env)
			assert.GreaterOrEqual(t, seen.Time, last)
			assert.LessOrEqual(t, seen.Time, time.Now().UnixNano())
			assert.Positive(t, seen.Since)
			last = seen.Time
		}
		require.NoError(t, sandbox.WhyNotForked(tpl))
	}
}

// TestForksAtOnce has more activations than instances that wait, of containers that
// share a program.
func TestForksAtOnce(t *testing.T) {
	t.Parallel()
	program := compiled(t, wat.Must(program(`(call $say (i32.const 1) (i32.const 1024) (call $read))`, "")))
	var wg sync.WaitGroup
	for c := range 8 {
		tpl := templateOf(t, program, forking())
		wg.Go(func() {
			for n := range 100 {
				input := fmt.Sprintf(`{"container":%d,"n":%d}`, c, n)
				out := tpl.Run(t.Context(), activation(input))
				assert.NoError(t, out.Err)
				assert.Equal(t, input, string(out.Result))
			}
		})
	}
	wg.Wait()
	assert.NoError(t, sandbox.WhyNotForked(templateOf(t, program, forking())))
}

// TestForksAreBounded has actions with many environments: the last ones start
// anew.
func TestForksAreBounded(t *testing.T) {
	t.Parallel()
	program := compiled(t, wat.Must(addsProgram))
	forks := 0
	for n := range 40 {
		tpl := templateOf(t, program, sandbox.Policy{Fork: true, Env: []string{fmt.Sprint("N=", n)}})
		require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
		if sandbox.Forks(tpl) {
			forks++
		}
	}
	assert.Equal(t, sandbox.MaxForks, forks)
	again := templateOf(t, program, sandbox.Policy{Fork: true, Env: []string{"N=0"}})
	assert.True(t, sandbox.Forks(again), "one that there is already")
}
