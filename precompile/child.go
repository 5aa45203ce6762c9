package precompile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/capped"
)

// Bounds of a compilation where the configuration says nothing. A Go action of
// 3 MB takes 1.7 s and 110 MB of these.
const (
	DefaultCompileTime   = 30 * time.Second
	DefaultCompileMemory = 2 << 30
)

const (
	// lightWork is the weight up to which a binary is compiled in this process.
	lightWork = 50 * time.Millisecond

	// lightBytes is the size up to which it is worth while to weigh a binary.
	lightBytes = 256 << 10

	// wallFactor is how much longer than its processor time a compilation may
	// take by the clock, for a machine that is busy.
	wallFactor = 4

	// overtime is the exit status of a child whose processor time is up: what a
	// shell makes of SIGXCPU.
	overtime = 128 + 24

	// answerBytes bounds what is read of a child, and what is kept of its stderr.
	answerBytes = 64 << 10

	// outputDelay is how long the output of a process may stay open after it has
	// ended: whoever it started may hold that, and would hold us as well.
	outputDelay = 5 * time.Second
)

// ChildConfig says how compilations run in processes of their own.
type ChildConfig struct {
	// Command is a program and its arguments, which call [ChildMain] with an
	// engine of the same configuration. The process is called "executor",
	// whatever the program, and has no environment.
	Command []string

	// All has binaries that weigh little compiled in processes, too: for engines
	// that are not in this one, or whose compiler ends its process where it fails.
	All bool

	// Time bounds the processor time of a compilation, to the second, and four
	// times as much its time by the clock; 0 means [DefaultCompileTime].
	Time time.Duration

	// MemoryBytes bounds its memory; 0 means [DefaultCompileMemory].
	MemoryBytes int64

	// Processes bounds how many there are at once; 0 means one for each
	// processor. More compilations wait.
	Processes int
}

// InChild returns a precompiler that does what p does, but compiles every
// binary that may be slow to compile in a process of its own, which may be
// killed: no compiler looks at a context often enough, and 100 KB of nested
// blocks can keep one busy for minutes. Binaries that weigh little
// ([rewrite.Weigh]) do not pay for a process, unless All do.
//
// A binary that passes a bound, or that crashes the compiler, is an
// [engine.InvalidModuleError]. A process that somebody else kills says nothing
// about its binary. On systems without resource limits only the
// bound by the clock holds.
func InChild(p engine.Precompiler, config ChildConfig) engine.Precompiler {
	if config.Time <= 0 {
		config.Time = DefaultCompileTime
	}
	if config.Processes <= 0 {
		config.Processes = runtime.GOMAXPROCS(0)
	}
	config.MemoryBytes = positive(config.MemoryBytes, DefaultCompileMemory)
	return &childCompiler{Precompiler: p, config: config, slots: make(chan struct{}, config.Processes)}
}

type childCompiler struct {
	engine.Precompiler
	config ChildConfig
	slots  chan struct{} // as many as there may be processes
}

func (c *childCompiler) Precompile(ctx context.Context, binary []byte, dir string) error {
	if c.here(binary) {
		return c.Precompiler.Precompile(ctx, binary, dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("compile in a process: %w", err)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.slots }()
	return c.run(ctx, binary, dir)
}

// Compile takes the way over an artefact with whatever is not compiled here.
func (c *childCompiler) Compile(ctx context.Context, binary []byte) (engine.Module, error) {
	if c.here(binary) {
		return c.Precompiler.Compile(ctx, binary)
	}
	dir, err := os.MkdirTemp("", "wasmwhisk-compile-")
	if err != nil {
		return nil, fmt.Errorf("make directory for compiling: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := c.Precompile(ctx, binary, dir); err != nil {
		return nil, err
	}
	return c.Load(ctx, binary, dir)
}

// here tells whether a binary is compiled in this process.
func (c *childCompiler) here(binary []byte) bool { return !c.config.All && light(binary) }

// light tells whether a binary surely compiles quickly. One that cannot be
// weighed is refused before it comes to compiling.
func light(binary []byte) bool {
	if len(binary) > lightBytes {
		return false
	}
	work, err := rewrite.Weigh(binary)
	return err != nil || work <= lightWork
}

// run compiles in a process and waits for its end, whatever happens.
func (c *childCompiler) run(ctx context.Context, binary []byte, dir string) error {
	request, err := json.Marshal(childRequest{Dir: dir, Seconds: seconds(c.config.Time), MemoryBytes: c.config.MemoryBytes})
	if err != nil {
		return fmt.Errorf("compile in a process: %w", err)
	}
	clocked, cancel := context.WithTimeout(ctx, wallFactor*c.config.Time)
	defer cancel()
	cmd := c.command(clocked, dir)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(request, '\n')), bytes.NewReader(binary))
	said, complaint := capped.New(answerBytes), capped.New(answerBytes)
	cmd.Stdout, cmd.Stderr = said, complaint
	err = cmd.Run()
	var answer childAnswer
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cmd.ProcessState == nil:
		return fmt.Errorf("start compiler process: %w", err)
	case (err == nil || errors.Is(err, exec.ErrWaitDelay)) && json.Unmarshal(said.Bytes(), &answer) == nil:
		return answer.verdict(c.Fingerprint())
	case errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("read answer of compiler process: %w", err)
	}
	return c.autopsy(endingOf(clocked, cmd.ProcessState, complaint.String()))
}

func (c *childCompiler) command(ctx context.Context, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.config.Command[0], c.config.Command[1:]...)
	cmd.Args[0] = "executor"
	cmd.Env = []string{}
	cmd.Dir = dir
	cmd.WaitDelay = outputDelay
	return cmd
}

// ending is how a process ended that gave no answer.
type ending struct {
	late      bool // by the clock
	status    int
	signal    syscall.Signal // -1 where it exited
	used      time.Duration  // processor time, as the kernel tells it afterwards
	complaint string
}

func endingOf(clocked context.Context, state *os.ProcessState, complaint string) ending {
	e := ending{late: clocked.Err() != nil, status: state.ExitCode(), signal: -1, complaint: complaint}
	if wait, ok := state.Sys().(syscall.WaitStatus); ok {
		e.signal = wait.Signal()
	}
	e.used = state.UserTime() + state.SystemTime()
	return e
}

// autopsy says whose fault an ending is.
func (c *childCompiler) autopsy(e ending) error {
	switch {
	case e.late:
		return excess("seconds by the clock", wallFactor*seconds(c.config.Time))
	case e.outOfTime(c.config.Time):
		return excess("seconds of processor time", seconds(c.config.Time))
	case outOfMemory(e.complaint):
		return excess("bytes of memory", uint64(c.config.MemoryBytes))
	case e.fromOutside():
		return fmt.Errorf("compiler process was ended from outside after %v of processor time: %v", e.used, e.signal)
	}
	return &engine.InvalidModuleError{Err: e.crash()}
}

func excess(unit string, limit uint64) error {
	return &engine.InvalidModuleError{Err: &engine.LimitError{What: "compilation", Unit: unit, Limit: limit}}
}

// outOfTime knows a child that ended itself, and one that the kernel had to kill
// a second later. The clock of the limit counts ticks and that of the usage does
// not, so the two may be far apart.
func (e ending) outOfTime(limit time.Duration) bool {
	return e.status == overtime || e.signal == syscall.SIGKILL && e.used >= limit/2
}

// fromOutside knows the signals that no compiler raises: they come from somebody
// who stops processes, or from a kernel that is short of memory.
func (e ending) fromOutside() bool {
	return slices.Contains([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}, e.signal)
}

func (e ending) crash() error {
	how := fmt.Sprintf("exit status %d", e.status)
	if e.signal >= 0 {
		how = e.signal.String()
	}
	complaint, _, _ := strings.Cut(e.complaint, "\n")
	return fmt.Errorf("compiler crashed: %s: %s", how, complaint)
}

// outOfMemory knows how the last words of a Go process begin that gets no
// memory, for its heap or for a thread.
func outOfMemory(complaint string) bool {
	return slices.ContainsFunc([]string{"out of memory", "cannot allocate memory", "pthread_create failed", "newosproc", "failed to allocate"},
		func(words string) bool { return strings.Contains(complaint, words) })
}

// seconds rounds up.
func seconds(d time.Duration) uint64 { return uint64((d + time.Second - 1) / time.Second) }

// childRequest is the first line that a child reads. The binary follows.
type childRequest struct {
	Dir         string `json:"dir"`
	Seconds     uint64 `json:"seconds"`
	MemoryBytes int64  `json:"memory_bytes"`
}

// childAnswer is what a child writes if it comes to an end.
type childAnswer struct {
	Fingerprint string `json:"fingerprint"`
	Invalid     string `json:"invalid,omitempty"` // what is wrong with the binary
	Failed      string `json:"failed,omitempty"`  // what else went wrong
}

func (a childAnswer) verdict(fingerprint string) error {
	switch {
	case a.Failed != "":
		return fmt.Errorf("compiler process: %s", a.Failed)
	case a.Invalid != "":
		return &engine.InvalidModuleError{Err: errors.New(a.Invalid)}
	case a.Fingerprint != fingerprint:
		return fmt.Errorf("compiler process: engine is %q, want %q", a.Fingerprint, fingerprint)
	}
	return nil
}
