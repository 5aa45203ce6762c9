// Package guesttest builds the Go guests of tests.
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
	binary, err := lookup(pkg, mode)()
	if errors.Is(err, guest.ErrNoToolchain) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("guesttest.Build(%q, %s): %v", pkg, mode, err)
	}
	return binary
}

type buildFunc func() ([]byte, error)

// builds holds a buildFunc by its key. It outlives the tests that share it.
var builds sync.Map

type key struct {
	pkg  string
	mode guest.Mode
}

func lookup(pkg string, mode guest.Mode) buildFunc {
	build := sync.OnceValues(func() ([]byte, error) {
		return guest.Compile(context.Background(), guest.Source{Package: pkg}, mode)
	})
	shared, _ := builds.LoadOrStore(key{pkg, mode}, buildFunc(build))
	return shared.(buildFunc)
}
