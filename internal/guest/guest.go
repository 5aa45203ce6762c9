// Package guest builds actions written in Go into WebAssembly modules, with the
// toolchain that is installed on this machine.
//
// The quickstart command builds its example with it, tests build their guests
// with it (through package guesttest).
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Mode is the shape of the module to build.
type Mode string

// The shapes that Go can build for WASI.
const (
	// Command is a module with _start, which runs main once.
	Command Mode = "command"
	// Reactor is a module with _initialize, whose exports are called after it.
	Reactor Mode = "reactor"
)

// Source names a main package.
type Source struct {
	// Dir is a directory of the module that holds the package or requires it;
	// empty means the working directory.
	Dir string
	// Package is an import path, or a path relative to Dir that begins with a
	// dot.
	Package string
}

// ErrNoToolchain means that this machine has no go command.
var ErrNoToolchain = errors.New(`building a Go action needs the Go toolchain, and there is no "go" on PATH: install it from https://go.dev/dl/`)

// BuildError reports a package that did not build.
type BuildError struct {
	Package string
	// Output is what the go command said, often several lines.
	Output string
	Err    error
}

func (e *BuildError) Error() string {
	if e.Output == "" {
		return fmt.Sprintf("build %s: %v", e.Package, e.Err)
	}
	return fmt.Sprintf("build %s:\n%s", e.Package, e.Output)
}

func (e *BuildError) Unwrap() error { return e.Err }

// Compile builds the package for wasip1 and returns the module. Equal sources
// and toolchains give equal modules. The error is [ErrNoToolchain], a
// [BuildError], or that of the file system.
func Compile(ctx context.Context, src Source, mode Mode) ([]byte, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, ErrNoToolchain
	}
	dir, err := os.MkdirTemp("", "wasmwhisk-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, tool, arguments(out, src.Package, mode)...)
	cmd.Dir = src.Dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, buildError(ctx, src.Package, said, err)
	}
	return os.ReadFile(out)
}

// arguments turns off what GOFLAGS may ask for the host and wasip1 lacks: a
// test run under -race builds its guests without.
func arguments(out, pkg string, mode Mode) []string {
	args := []string{
		"build", "-o", out,
		"-race=false", "-msan=false", "-asan=false", "-cover=false",
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w",
	}
	if mode == Reactor {
		return append(args, "-buildmode=c-shared", "--", pkg)
	}
	return append(args, "-buildmode=exe", "--", pkg)
}

func buildError(ctx context.Context, pkg string, said []byte, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err, said = cause, nil
	}
	return &BuildError{Package: pkg, Output: string(bytes.TrimSpace(said)), Err: err}
}
