//go:build cgo && linux && amd64

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/engines/wasmer"
	"wasmwhisk/internal/wat"
	"wasmwhisk/precompile"
)

// TestMain makes this test binary the program if its argument says so: a worker
// has no environment to tell it.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "compile" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newSupervisor(t testing.TB) *worker.Supervisor {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	s, err := worker.New(worker.Config{Command: []string{program, "serve"}, Activations: 1, Processes: 2})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func openRunner(t testing.TB, s *worker.Supervisor, source string) *worker.Runner {
	t.Helper()
	r, err := s.Open(t.Context(), worker.Code{Binary: wat.Must(source)}, sandbox.Policy{})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// reactor wraps the body of ow_run into a guest; fields come after it.
func reactor(run, fields string) string {
	return `(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "ow_run") (param $at i32) (param $n i32) (result i64) ` + run + ` (i64.const 2))
  ` + fields + `)`
}

// crashes are guests that end a process with wasmer 2.0 in it if nothing stops
// them, or that used to.
func crashes() map[string]string {
	return map[string]string{
		"recursion through memory.grow": reactor(`(call $f)`, `(func $f (drop (memory.grow (i32.const 0))) (call $f))`),
		"recursion through the host":    reactor(`(call $f)`, `(func $f (drop (call $yield)) (call $f))`),
		"recursion":                     reactor(`(call $f)`, `(func $f (call $f))`),
	}
}

func traps() map[string]string {
	return map[string]string{
		"unreachable":   reactor(`unreachable`, ""),
		"out of bounds": reactor(`(drop (i32.load (i32.const -4)))`, ""),
		"division":      reactor(`(drop (i32.div_s (i32.const 1) (i32.const 0)))`, ""),
		"null element":  reactor(`(call_indirect (i32.const 0))`, `(table 1 funcref)`),
		"wrong element": reactor(`(call_indirect (i32.const 0))`, `(table funcref (elem $g)) (func $g (param i32))`),
	}
}

func activate(t testing.TB, r *worker.Runner, limit time.Duration) sandbox.Outcome {
	t.Helper()
	return r.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`), Deadline: time.Now().Add(limit)})
}

func TestSurvivesWhatCrashesWasmer(t *testing.T) {
	s := newSupervisor(t)
	for name, source := range crashes() {
		out := activate(t, openRunner(t, s, source), time.Minute)
		assert.ErrorContains(t, out.Err, "call stack exhausted", name)
		assert.Equal(t, sandbox.DeveloperError, out.Status, name)
	}
	// 5 ms on the monotonic clock, as a sleep in a Go guest.
	sleeps := reactor(`
	  (i32.store8 (i32.const 64) (i32.const 0)) (i32.store (i32.const 72) (i32.const 1)) (i64.store (i32.const 80) (i64.const 5000000))
	  (if (call $poll (i32.const 56) (i32.const 256) (i32.const 1) (i32.const 320)) (then unreachable))`, "")
	assert.NoError(t, activate(t, openRunner(t, s, sleeps), time.Minute).Err)
	spins := openRunner(t, s, reactor(`(loop $l (br $l))`, ""))
	assert.ErrorIs(t, activate(t, spins, 50*time.Millisecond).Err, context.DeadlineExceeded)
}

// TestTraps has guests trap over and over while another action answers.
func TestTraps(t *testing.T) {
	times := 10_000
	if testing.Short() {
		times = 100
	}
	s := newSupervisor(t)
	other := openRunner(t, s, reactor("", ""))
	for name, source := range traps() {
		trapBeside(t, s, other, name, source, times)
	}
	for name, source := range crashes() {
		trapBeside(t, s, other, name, source, times/100) // a deep stack takes long to describe
	}
}

// trapBeside traps so many times while other answers.
func trapBeside(t *testing.T, s *worker.Supervisor, other *worker.Runner, name, source string, times int) {
	t.Helper()
	r := openRunner(t, s, source)
	var wg sync.WaitGroup
	var ended atomic.Bool
	wg.Go(func() {
		for answered := 0; answered == 0 || !ended.Load(); answered++ {
			assert.NoError(t, activate(t, other, time.Minute).Err, name)
		}
	})
	began := time.Now()
	for range times {
		out := activate(t, r, time.Minute)
		require.Equal(t, sandbox.DeveloperError, out.Status, "%s: %v", name, out.Err)
	}
	t.Logf("%s: %v each", name, time.Since(began)/time.Duration(times))
	ended.Store(true)
	wg.Wait()
}

// TestArtefacts has a process compile what another one loads.
func TestArtefacts(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	rt, err := wasmer.New(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()}, 0)
	require.NoError(t, err)
	compiler := precompile.InChild(rt, precompile.ChildConfig{Command: []string{program, "compile"}, All: true})
	cache, err := precompile.NewCache(t.TempDir(), compiler, precompile.CacheConfig{})
	require.NoError(t, err)
	binary := wat.Must(reactor("", `(data (i32.const 100) "`+strings.Repeat("x", precompile.SmallBinary)+`")`))
	s := newSupervisor(t)
	for _, want := range []precompile.Origin{precompile.Compiled, precompile.Loaded} {
		dir, from, err := cache.Artefact(t.Context(), binary, sha256.Sum256(binary))
		require.NoError(t, err)
		require.NotNil(t, dir)
		assert.Equal(t, want, from)
		code := worker.Code{Artefact: dir, ArtefactPath: precompile.CodeDir, Fingerprint: cache.Fingerprint()}
		r, err := s.Open(t.Context(), code, sandbox.Policy{})
		require.NoError(t, err)
		assert.NoError(t, activate(t, r, time.Minute).Err)
		r.Close()
	}
}

func TestRefusesWhatWasmerCannot(t *testing.T) {
	s := newSupervisor(t)
	for name, binary := range map[string][]byte{
		"tail call":    append([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00"), "\x0a\x06\x01\x04\x00\x12\x00\x0b"...),
		"exceptions":   append([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0d\x03\x01\x00\x00\x07\x0a\x01\x06_start\x00\x00"), "\x0a\x04\x01\x02\x00\x0b"...),
		"text, not it": []byte(`(module (func (export "_start")))`),
	} {
		_, err := s.Open(t.Context(), worker.Code{Binary: binary}, sandbox.Policy{})
		if assert.ErrorContains(t, err, "invalid module", name) {
			assert.Equal(t, sandbox.DeveloperError, sandbox.StatusOf(err), name)
		}
		t.Log(name, err)
	}
}
