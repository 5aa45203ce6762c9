// Package guesttest builds the Go guests of tests, and makes binaries that are hard
// to compile.
package guesttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"wasmwhisk/internal/guest"
)

// Build returns the module that the main package pkg, an import path, builds
// into. A test process builds each guest once. The test is skipped where there
// is no Go toolchain and fails if the package does not build. Callers must not
// change the bytes.
func Build(t testing.TB, pkg string, mode guest.Mode) []byte {
	t.Helper()
	binary, err := lookup(key{pkg, mode}, func() ([]byte, error) {
		return guest.Compile(context.Background(), guest.Source{Package: pkg}, mode)
	})
	return built(t, binary, err)
}

// BuildC is [Build] for a C file. The test is skipped where clang cannot build
// for wasm32-wasi.
func BuildC(t testing.TB, file string) []byte {
	t.Helper()
	binary, err := lookup(key{pkg: file}, func() ([]byte, error) { return guest.CompileC(context.Background(), file) })
	return built(t, binary, err)
}

func built(t testing.TB, binary []byte, err error) []byte {
	t.Helper()
	if errors.Is(err, guest.ErrNoToolchain) || errors.Is(err, guest.ErrNoClang) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

type buildFunc func() ([]byte, error)

// builds holds a buildFunc by its key. It outlives the tests that share it.
var builds sync.Map

type key struct {
	pkg  string // or file
	mode guest.Mode
}

func lookup(k key, build buildFunc) ([]byte, error) {
	shared, _ := builds.LoadOrStore(k, buildFunc(sync.OnceValues(build)))
	return shared.(buildFunc)()
}
