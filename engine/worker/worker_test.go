//go:build linux

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/internal/wat"
)

func activation(input string) sandbox.Activation {
	return sandbox.Activation{Input: json.RawMessage(input), Deadline: time.Now().Add(time.Minute)}
}

func TestRunsActivations(t *testing.T) {
	t.Parallel()
	r := newSupervisor(t, "wazero").open(t, reactor(`(call $log (i32.const 1) (local.get $at) (local.get $n)) `+echoes), sandbox.Policy{})
	assert.Equal(t, abi.Reactor, r.Contract())
	require.NoError(t, r.Probe(t.Context()).Err)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			input := fmt.Sprintf(`{"n":%d}`, i)
			out := r.Run(t.Context(), activation(input))
			if !assert.NoError(t, out.Err) || !assert.Len(t, out.Logs.Lines, 1) {
				return
			}
			assert.Equal(t, input, string(out.Result))
			assert.Equal(t, "INFO "+input, out.Logs.Lines[0].Text)
			assert.Equal(t, sandbox.Stderr, out.Logs.Lines[0].Stream)
			assert.Positive(t, out.Timings.Run)
		})
	}
	wg.Wait()
}

// TestErrorsKeepTheirKind runs guests that fail in a worker and in this process:
// the outcomes are the same.
func TestErrorsKeepTheirKind(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero")
	rt, err := openWazero(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.Background())) })
	for name, source := range map[string]string{
		"trap":           reactor(`unreachable`),
		"stack overflow": reactor(`(call $deep) (i64.const 2)`, `(func $deep (call $deep) (drop (memory.grow (i32.const 0))))`),
		"result range":   reactor(`(i64.const -1)`),
		"no JSON":        reactor(`(i64.const 1)`),
		"says error": `(module (memory (export "memory") 1) (data (i32.const 0) "{\22error\22:1}") (func (export "ow_alloc") (param i32) (result i32) (i32.const 64))
			(func (export "ow_run") (param i32 i32) (result i64) (i64.const 11)))`,
		"exit": `(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
			(func (export "_start") (call $exit (i32.const 3))))`,
		"no dictionary": `(module (memory (export "memory") 1) (data (i32.const 0) "7") (func (export "ow_alloc") (param i32) (result i32) (i32.const 64))
			(func (export "ow_run") (param i32 i32) (result i64) (i64.const 1)))`,
		"memory": `(module (memory (export "memory") 1) (func (export "ow_alloc") (param i32) (result i32) (i32.const 64))
			(func (export "ow_run") (param i32 i32) (result i64) (drop (memory.grow (i32.const 9))) (i64.store (i32.const 65536) (i64.const 1)) (i64.const 2)))`,
	} {
		policy := sandbox.Policy{Limits: sandbox.Limits{MemoryPages: 4}}
		module, err := rt.Compile(t.Context(), wat.Must(source))
		require.NoError(t, err, name)
		program := sandbox.NewProgram(module)
		here, err := sandbox.New(program, sandbox.HostFuncs(), policy)
		require.NoError(t, err, name)
		want := here.Run(t.Context(), activation("{}"))
		got := s.open(t, source, policy).Run(t.Context(), activation("{}"))
		assert.Equal(t, want.Status, got.Status, name)
		assert.Equal(t, string(want.Result), string(got.Result), name)
		if want.Err != nil && assert.Error(t, got.Err, name) {
			assert.Equal(t, want.Err.Error(), got.Err.Error(), name)
			assert.Equal(t, errors.Is(want.Err, abi.ErrNotDictionary), errors.Is(got.Err, abi.ErrNotDictionary), name)
			assert.Equal(t, kindsOf(want.Err), kindsOf(got.Err), name)
		}
		require.NoError(t, program.Close(t.Context()))
	}
}

// kindsOf names the types that an error is of.
func kindsOf(err error) (kinds []string) {
	for name, is := range map[string]func(error) bool{
		"trap":    is[*engine.TrapError],
		"exit":    is[*engine.ExitError],
		"limit":   is[*engine.LimitError],
		"broken":  is[*abi.ProtocolError],
		"invalid": is[*engine.InvalidModuleError],
	} {
		if is(err) {
			kinds = append(kinds, name)
		}
	}
	return kinds
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestRefusesModules(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero")
	for _, tc := range []struct {
		binary []byte
		want   string
	}{
		{[]byte("no module"), "invalid module"},
		{wat.Must(`(module (memory (export "memory") 1))`), "entry point"},
		{wat.Must(`(module (import "http" "get" (func (result i32))) (memory (export "memory") 1) (func (export "_start")))`), "capability"},
	} {
		_, err := s.Open(t.Context(), Code{Binary: tc.binary}, sandbox.Policy{})
		if assert.ErrorContains(t, err, tc.want) {
			assert.True(t, is[*engine.InvalidModuleError](err), "Open: %v", err)
		}
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	r := newSupervisor(t, "wazero").open(t, reactor(branches), sandbox.Policy{})
	out := r.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`[]`), Deadline: time.Now().Add(50 * time.Millisecond)})
	assert.ErrorIs(t, out.Err, context.DeadlineExceeded)
	assert.Equal(t, sandbox.DeveloperError, out.Status)

	cause := errors.New("nobody waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	assert.ErrorIs(t, r.Run(ctx, activation(`[]`)).Err, cause)
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err, "after both the worker is as good as before")
	assert.ErrorIs(t, r.Run(ctx, activation(`[]`)).Err, cause)
}

// stubborn makes a worker stop, all its threads: it does not even see a deadline.
func stubborn(t *testing.T, r *Runner) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		require.NoError(t, m.cmd.Process.Signal(syscall.SIGSTOP))
		require.NoError(t, unix.Waitid(unix.P_PID, m.cmd.Process.Pid, nil, unix.WSTOPPED, nil))
	}
}

func TestKillsWhatDoesNotEndInTime(t *testing.T) {
	t.Parallel()
	r := newSupervisor(t, "wazero", func(c *Config) { c.Grace = 10 * time.Millisecond }).open(t, reactor(echoes), sandbox.Policy{})
	stubborn(t, r)
	beside := make(chan sandbox.Outcome)
	go func() { beside <- r.Run(t.Context(), activation(`{}`)) }()
	require.Eventually(t, func() bool { return r.load() == 1 }, time.Minute, time.Millisecond)
	late := r.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`), Deadline: time.Now().Add(10 * time.Millisecond)})
	assert.ErrorIs(t, late.Err, context.DeadlineExceeded)
	assert.Equal(t, sandbox.DeveloperError, late.Status)
	harmed := <-beside
	assert.ErrorIs(t, harmed.Err, errKilled)
	assert.Equal(t, sandbox.WhiskError, harmed.Status, "it is not this one's fault")
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err, "another process has taken the place")

	stubborn(t, r)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("nobody waits")
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	assert.ErrorIs(t, r.Run(ctx, activation(`{}`)).Err, cause)
}

func (r *Runner) load() (sum int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		sum += m.load
	}
	return sum
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero", func(c *Config) { c.Grace = 10 * time.Millisecond })
	r := s.open(t, reactor(branches), sandbox.Policy{})
	comesTo := func(want Stats) {
		t.Helper()
		assert.Eventually(t, func() bool { return s.Stats() == want }, time.Minute, time.Millisecond, "Stats() = %+v, want %+v", s.Stats(), want)
		assert.Len(t, s.Processes(), want.Processes)
	}
	comesTo(Stats{Processes: 1, Started: 1})
	spins := make(chan sandbox.Outcome)
	go func() { spins <- r.Run(t.Context(), activation(`[]`)) }()
	comesTo(Stats{Processes: 1, Busy: 1, Started: 1})
	r.crash(t)
	assert.Error(t, (<-spins).Err)
	comesTo(Stats{Started: 1, Crashed: 1})
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
	comesTo(Stats{Processes: 1, Started: 2, Crashed: 1})
	stubborn(t, r)
	late := r.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`), Deadline: time.Now().Add(10 * time.Millisecond)})
	assert.ErrorIs(t, late.Err, context.DeadlineExceeded)
	comesTo(Stats{Started: 2, Crashed: 1, Killed: 1})
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
	r.Close()
	comesTo(Stats{Started: 3, Crashed: 1, Killed: 1})
}

func TestCrashHarmsOnlyWhatRanThere(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero")
	r, other := s.open(t, reactor(branches), sandbox.Policy{}), s.open(t, reactor(echoes), sandbox.Policy{})
	alone := make(chan sandbox.Outcome)
	go func() { alone <- r.Run(t.Context(), activation(`[]`)) }()
	require.Eventually(t, func() bool { return s.Stats().Busy == 1 }, time.Minute, time.Millisecond)
	r.crash(t)
	out := <-alone
	trap, ok := errors.AsType[*engine.TrapError](out.Err)
	if assert.True(t, ok, "Run = %v", out.Err) {
		assert.Equal(t, engine.TrapCrash, trap.Kind)
		assert.Contains(t, trap.Detail, "segmentation")
	}
	assert.Equal(t, sandbox.DeveloperError, out.Status)
	assert.NoError(t, other.Run(t.Context(), activation(`{}`)).Err)
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
}

// crash has the processes of a runner end as a memory fault would.
func (r *Runner) crash(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		require.NoError(t, m.cmd.Process.Signal(syscall.SIGSEGV))
	}
}

func TestActivationsOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := newSupervisor(t, "wazero", func(c *Config) { c.Activations, c.Processes = 1, 2 }).open(t, reactor(branches), sandbox.Policy{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { assert.ErrorIs(t, r.Run(ctx, activation(`[]`)).Err, context.Canceled) })
	}
	require.Eventually(t, func() bool { return r.load() == 2 }, time.Minute, time.Millisecond)
	out := r.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`), Deadline: time.Now().Add(20 * time.Millisecond)})
	assert.ErrorIs(t, out.Err, context.DeadlineExceeded, "no process has room for a third")
	cancel()
	wg.Wait()
	assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
}

func TestRecycles(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"after so many":  func(c *Config) { c.RecycleAfter = 3 },
		"after so much":  func(c *Config) { c.RecycleBytes = 1 },
		"with one ready": func(c *Config) { c.RecycleAfter, c.Prestarted = 3, 1 },
	} {
		r := newSupervisor(t, "wazero", change).open(t, reactor(echoes), sandbox.Policy{})
		pids := map[int]bool{}
		for range 2 * weighEvery {
			require.NoError(t, r.Run(t.Context(), activation(`{}`)).Err, name)
			pids[r.pid()] = true
		}
		delete(pids, 0) // between two
		assert.Greater(t, len(pids), 1, name)
	}
}

// A process is no more and no less than one of an action's, though who had it made did
// not wait for it.
func TestNobodyWaitsForAProcess(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero", func(c *Config) { c.RecycleAfter = 1 })
	r := s.open(t, reactor(echoes), sandbox.Policy{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		require.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
		require.ErrorIs(t, r.Run(gone, activation(`{}`)).Err, context.Canceled)
	}
	r.Close()
	require.Eventually(t, func() bool { return s.Stats().Processes == 0 }, time.Minute, time.Millisecond)
}

func (r *Runner) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.members) == 0 || !r.members[0].isMade() {
		return 0
	}
	return r.members[0].cmd.Process.Pid
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	client, err := host.NewClient(host.Policy{Allow: []string{"*"}})
	require.NoError(t, err)
	defer client.Close()
	r := newSupervisor(t, "wazero").open(t, waits, sandbox.Policy{Capabilities: sandbox.Capabilities{HTTP: client}})
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() { assert.NoError(t, r.Run(t.Context(), activation(`{}`)).Err) })
	}
	wg.Wait()
}

func TestMemory(t *testing.T) {
	t.Parallel()
	greedy := `(drop (memory.grow (i32.const 3000))) (memory.fill (i32.const 65536) (i32.const 1) (i32.const 190000000)) (loop $l (br $l)) (i64.const 2)`
	for name, change := range map[string]func(*Config){
		"any number": func(c *Config) { c.MemoryBytes = 100 << 20 },
		"one":        func(c *Config) { c.MemoryBytes, c.Activations = 100<<20, 1 },
	} {
		out := newSupervisor(t, "wazero", change).open(t, reactor(greedy), sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		limit, ok := errors.AsType[*engine.LimitError](out.Err)
		if assert.True(t, ok, "%s: Run = %v", name, out.Err) {
			assert.Equal(t, &engine.LimitError{What: "memory", Unit: "bytes", Limit: 100 << 20}, limit, name)
		}
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	t.Parallel()
	r := newSupervisor(t, "wazero", func(c *Config) { c.Idle = time.Nanosecond }).open(t, reactor(echoes), sandbox.Policy{})
	for range 2 {
		require.NoError(t, r.Run(t.Context(), activation(`{}`)).Err)
		require.Eventually(t, func() bool { return r.pid() == 0 }, time.Minute, time.Millisecond)
	}
}

func TestSparesThatDied(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero", func(c *Config) { c.Prestarted = 1 })
	p := <-s.spares
	require.NoError(t, p.cmd.Process.Kill())
	s.spares <- p
	assert.NoError(t, s.open(t, reactor(echoes), sandbox.Policy{}).Run(t.Context(), activation(`{}`)).Err)
}

func TestHostileWorkers(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{
		"dies":       "crashed",
		"unknown-id": "an outcome that nobody asked for",
		"huge":       "a payload of 4294967295 bytes",
		"no-json":    "no JSON",
		"forged-log": "a line of the log has several",
		"garbage":    "violated",
		"twice":      "a frame of kind",
	} {
		r := newSupervisor(t, how).open(t, reactor(echoes), sandbox.Policy{})
		assert.ErrorContains(t, r.Run(t.Context(), activation(`{}`)).Err, want, how)
	}
	_, err := newSupervisor(t, "dies-assigned").Open(t.Context(), Code{Binary: wat.Must(reactor(echoes))}, sandbox.Policy{})
	assert.True(t, is[*engine.InvalidModuleError](err), "Open = %v", err)
	_, err = newSupervisor(t, "failing").Open(t.Context(), Code{Binary: wat.Must(reactor(echoes))}, sandbox.Policy{})
	assert.ErrorContains(t, err, "no engine today")
	assert.Equal(t, sandbox.WhiskError, sandbox.StatusOf(err), "Open = %v", err)
}

func TestWalls(t *testing.T) {
	t.Parallel()
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	require.NoError(t, err)
	defer secret.Close()
	_, err = secret.WriteString("secret")
	require.NoError(t, err)
	_, err = newSupervisor(t, "prying").Open(t.Context(), Code{}, sandbox.Policy{})
	assert.ErrorContains(t, err, `it could []`)
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	policy := sandbox.Policy{Capabilities: sandbox.Capabilities{Mounts: []wasi.Mount{{Guest: "/data", Root: root, Access: wasi.ReadWrite}}}}
	source := reactor(`(if (call $mkdir (i32.const 3) (i32.const 16) (i32.const 3)) (then unreachable)) (i64.const 2)`,
		`(data (i32.const 16) "new")`)
	source = `(module (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))` + source[len("(module"):]
	s := newSupervisor(t, "wazero")
	out := s.open(t, source, policy).Run(t.Context(), activation(`{}`))
	require.NoError(t, out.Err)
	assert.DirExists(t, filepath.Join(dir, "new"))

	client, err := host.NewClient(host.Policy{Allow: []string{"*"}})
	require.NoError(t, err)
	defer client.Close()
	out = s.open(t, waits, sandbox.Policy{Capabilities: sandbox.Capabilities{HTTP: client}}).Run(t.Context(), activation(`{}`))
	assert.NoError(t, out.Err)
}

func TestClosesWhatIsOpen(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t, "wazero", func(c *Config) { c.Prestarted = 2 })
	r := s.open(t, reactor(echoes), sandbox.Policy{})
	pid := r.pid()
	s.Close()
	s.Close()
	assert.ErrorIs(t, r.Run(t.Context(), activation(`{}`)).Err, errClosed)
	if runtime.GOOS == "linux" {
		assert.NoDirExists(t, fmt.Sprintf("/proc/%d", pid))
	}
}
