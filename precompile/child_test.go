package precompile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest/guesttest"
)

// childArgument makes this test binary a compiler process: such a one has no
// environment to tell it.
const childArgument = "compile-child"

// heirArgument makes it a process that does nothing but hold what it inherited.
const heirArgument = "hold-output"

// What makes the compiler of a test process crash, never come to an end, or leave a
// process behind, whose id is in the file of that name.
const (
	crash = "crash here"
	spin  = "spin here"
	leave = "leave an heir"
	heir  = "heir"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == heirArgument {
		forever := make(chan os.Signal, 1)
		signal.Notify(forever, syscall.SIGUSR1)
		<-forever
		return
	}
	if len(os.Args) != 2 || os.Args[1] != childArgument {
		goleak.VerifyTestMain(m)
		return
	}
	if err := ChildMain(context.Background(), os.Stdin, os.Stdout, openCrashing); err != nil {
		os.Exit(1)
	}
}

// crashing is a compiler that crashes or hangs when it is told.
type crashing struct{ engine.Precompiler }

func openCrashing(ctx context.Context) (engine.Precompiler, error) {
	rt, err := wazeroengine.NewCompiler(ctx, engine.Config{HostFuncs: wasi.Functions()})
	return crashing{rt}, err
}

func (c crashing) Precompile(ctx context.Context, binary []byte, dir string) error {
	switch {
	case bytes.Contains(binary, []byte(crash)):
		done := make(chan struct{})
		go func() { panic("a worker's panic") }()
		<-done
	case bytes.Contains(binary, []byte(spin)):
		runtime.GOMAXPROCS(1)
		for n := 0; ; {
			n++ // and never yields
		}
	case bytes.Contains(binary, []byte(leave)):
		if err := startHeir(ctx, dir); err != nil {
			return err
		}
	}
	return c.Precompiler.Precompile(wazeroengine.WithWorkers(ctx, 2), binary, dir)
}

func startHeir(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", heirArgument)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, heir), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// telling is a custom section that says what to do.
func telling(word string) []byte { return append([]byte{0, byte(1 + len(word)), 0}, word...) }

func inChild(t testing.TB, config ChildConfig) engine.Precompiler {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("limits of processes are tested on Linux")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	config.Command = []string{program, childArgument}
	return InChild(newCompiler(t), config)
}

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func repeat(n int, code ...byte) []byte { return bytes.Repeat(code, n) }

// TestBombs also has small compilations go on beside each bomb.
func TestBombs(t *testing.T) {
	t.Parallel()
	for name, bomb := range guesttest.Bombs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := inChild(t, ChildConfig{Time: time.Second, MemoryBytes: 1 << 30})
			err := c.Precompile(t.Context(), bomb, t.TempDir())
			limit, ok := errors.AsType[*engine.LimitError](err)
			require.True(t, ok, "Precompile of %s = %v, want a LimitError", name, err)
			assert.Equal(t, "compilation", limit.What)
			_, ok = errors.AsType[*engine.InvalidModuleError](err)
			require.True(t, ok, "Precompile of %s = %v, want an InvalidModuleError", name, err)

			m, err := c.Compile(t.Context(), functions(3))
			require.NoError(t, err)
			require.NoError(t, m.Close(t.Context()))
		})
	}
}

// A compiler that never yields its only processor is told, too. No clock of ours
// runs beside this process: a busy machine does not end it in another way.
func TestOvertime(t *testing.T) {
	t.Parallel()
	c := inChild(t, ChildConfig{}).(*childCompiler)
	cmd := c.command(t.Context(), t.TempDir())
	cmd.Stdin = strings.NewReader(`{"seconds": 1, "memory_bytes": 1073741824}` + "\n" + spin)
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "run = %v, want an exit status", err)
	assert.Equal(t, overtime, exit.ExitCode(), "%v", exit)
}

func TestAutopsy(t *testing.T) {
	t.Parallel()
	limit := func(unit string, n uint64) error {
		return &engine.InvalidModuleError{Err: &engine.LimitError{What: "compilation", Unit: unit, Limit: n}}
	}
	crash := func(words string) error { return &engine.InvalidModuleError{Err: errors.New(words)} }
	c := &childCompiler{config: ChildConfig{Time: 2 * time.Second, MemoryBytes: 1000}}
	for name, tt := range map[string]struct {
		ending ending
		want   error
	}{
		"late by the clock":                {ending{late: true, status: -1, signal: syscall.SIGKILL}, limit("seconds by the clock", 8)},
		"out of time":                      {ending{status: overtime, signal: -1}, limit("seconds of processor time", 2)},
		"killed at the limit":              {ending{status: -1, signal: syscall.SIGKILL, used: 3 * time.Second}, limit("seconds of processor time", 2)},
		"killed, and the clocks disagree":  {ending{status: -1, signal: syscall.SIGKILL, used: time.Second}, limit("seconds of processor time", 2)},
		"killed early":                     {ending{status: -1, signal: syscall.SIGKILL, used: time.Millisecond}, errors.New("compiler process was ended from outside after 1ms of processor time: killed")},
		"interrupted":                      {ending{status: -1, signal: syscall.SIGINT, used: time.Minute}, errors.New("compiler process was ended from outside after 1m0s of processor time: interrupt")},
		"no memory":                        {ending{status: 2, signal: -1, complaint: "fatal error: runtime: out of memory"}, limit("bytes of memory", 1000)},
		"no memory, and much time of it":   {ending{status: 2, signal: -1, used: time.Minute, complaint: "runtime: cannot allocate memory"}, limit("bytes of memory", 1000)},
		"aborted for memory":               {ending{status: -1, signal: syscall.SIGABRT, complaint: "memory allocation failed: out of memory"}, limit("bytes of memory", 1000)},
		"panic":                            {ending{status: 2, signal: -1, complaint: "panic: no\n\ngoroutine 1"}, crash("compiler crashed: exit status 2: panic: no")},
		"segmentation fault, after a time": {ending{status: -1, signal: syscall.SIGSEGV, used: time.Minute}, crash("compiler crashed: segmentation fault: ")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.autopsy(tt.ending)
			_, invalid := errors.AsType[*engine.InvalidModuleError](got)
			_, wantInvalid := errors.AsType[*engine.InvalidModuleError](tt.want)
			assert.Equal(t, wantInvalid, invalid, "autopsy(%+v) = %v", tt.ending, got)
			assert.EqualError(t, got, tt.want.Error(), "autopsy(%+v)", tt.ending)
		})
	}
}

// A small bomb is one, too: 2 KB can take a compiler seconds.
func TestLight(t *testing.T) {
	t.Parallel()
	assert.True(t, light(functions(20)), "light(20 functions)")
	for name, bomb := range guesttest.Bombs() {
		assert.False(t, light(bomb), "light(%s)", name)
	}
	small := guesttest.OneFunction(101, repeat(100, 0x03, 0x40, 0x20, 1, 0x21, 2), repeat(100, 0x41, 0, 0x0d, 0, 0x0b))
	assert.False(t, light(small), "light(100 loops among locals, %d bytes)", len(small))
}

// heavyFunctions compile quickly enough, but not surely so.
func heavyFunctions() []byte {
	code := repeat(300, 0x02, 0x40, 0x0b)
	return guesttest.OneFunction(3000, code)
}

func TestCompileInChild(t *testing.T) {
	t.Parallel()
	bin := functions(800)
	require.False(t, light(bin))
	c := inChild(t, ChildConfig{})
	direct, err := newCompiler(t).Compile(t.Context(), bin)
	require.NoError(t, err)
	want := run(t, direct)

	m, err := c.Compile(t.Context(), bin)
	require.NoError(t, err)
	assert.Equal(t, want, run(t, m))
	require.NoError(t, m.Close(t.Context()))

	dir := t.TempDir()
	require.NoError(t, c.Precompile(t.Context(), bin, dir))
	m, err = c.Load(t.Context(), bin, dir)
	require.NoError(t, err)
	assert.Equal(t, want, run(t, m))
	require.NoError(t, m.Close(t.Context()))
	require.NoError(t, direct.Close(t.Context()))
}

func TestInvalidInChild(t *testing.T) {
	t.Parallel()
	c := inChild(t, ChildConfig{})
	_, err := c.Compile(t.Context(), guesttest.OneFunction(0, repeat(40_000, 0x02, 0x40, 0x0b), []byte{0x6a}))
	invalid, ok := errors.AsType[*engine.InvalidModuleError](err)
	require.True(t, ok, "Compile = %v, want an InvalidModuleError", err)
	require.NotContains(t, invalid.Error(), "crashed")
	_, err = c.Compile(t.Context(), []byte("no module"))
	_, ok = errors.AsType[*engine.InvalidModuleError](err)
	require.True(t, ok, "Compile = %v, want an InvalidModuleError", err)
}

func TestChildCrash(t *testing.T) {
	t.Parallel()
	c := inChild(t, ChildConfig{})
	_, err := c.Compile(t.Context(), append(heavyFunctions(), telling(crash)...))
	_, ok := errors.AsType[*engine.InvalidModuleError](err)
	require.True(t, ok, "Compile = %v, want an InvalidModuleError", err)
	require.ErrorContains(t, err, "a worker's panic")
	m, err := c.Compile(t.Context(), heavyFunctions())
	require.NoError(t, err)
	require.NoError(t, m.Close(t.Context()))
}

// Whoever holds a compiler's output when that has ended holds up nobody.
func TestChildThatLeavesAnHeir(t *testing.T) {
	t.Parallel()
	c, dir := inChild(t, ChildConfig{}), t.TempDir()
	compiled := c.Precompile(t.Context(), append(heavyFunctions(), telling(leave)...), dir)
	text, err := os.ReadFile(filepath.Join(dir, heir))
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "the heir lives")
	require.NoError(t, compiled)
}

// A compiler that may end its process gets none of ours, however little there is
// to compile.
func TestFragileCompiler(t *testing.T) {
	t.Parallel()
	small := append(functions(1), telling(crash)...)
	require.True(t, light(small))
	c := inChild(t, ChildConfig{All: true})
	_, err := c.Compile(t.Context(), small)
	require.ErrorContains(t, err, "a worker's panic")
	m, err := c.Compile(t.Context(), functions(1))
	require.NoError(t, err)
	require.NoError(t, m.Close(t.Context()))
}

func TestChildMemory(t *testing.T) {
	t.Parallel()
	c := inChild(t, ChildConfig{MemoryBytes: 96 << 20})
	_, err := c.Compile(t.Context(), functions(40_000))
	limit, ok := errors.AsType[*engine.LimitError](err)
	require.True(t, ok, "Compile = %v, want a LimitError", err)
	require.Equal(t, "bytes of memory", limit.Unit)
}

// A compilation that is cancelled is over when Precompile returns, and one that
// waits for its turn can be.
func TestCancelledChild(t *testing.T) {
	t.Parallel()
	c := inChild(t, ChildConfig{Processes: 1})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	results := make(chan error, 2)
	for range 2 {
		go func() { results <- c.Precompile(ctx, guesttest.Bombs()["deep loops"], t.TempDir()) }()
	}
	slots := c.(*childCompiler).slots
	require.Eventually(t, func() bool { return len(slots) == 1 }, time.Minute, time.Millisecond)
	cancel(cause)
	require.ErrorIs(t, <-results, cause)
	require.ErrorIs(t, <-results, cause)
	require.Empty(t, slots)
}

func TestChildThatCannotStart(t *testing.T) {
	t.Parallel()
	c := InChild(newCompiler(t), ChildConfig{Command: []string{filepath.Join(t.TempDir(), "none")}})
	_, err := c.Compile(t.Context(), heavyFunctions())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, ok := errors.AsType[*engine.InvalidModuleError](err)
	require.False(t, ok, "Compile = %v, blames the module", err)
}
