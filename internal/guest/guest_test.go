package guest_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"wasmwhisk/internal/guest"
)

func compile(t *testing.T, pkg string, mode guest.Mode) ([]byte, error) {
	t.Helper()
	return guest.Compile(t.Context(), guest.Source{Package: pkg}, mode)
}

// exports tells whether the binary has an export entry of a function: its name
// after its length, and then a zero for the kind.
func exports(binary []byte, name string) bool {
	entry := append([]byte{byte(len(name))}, name...)
	return bytes.Contains(binary, append(entry, 0))
}

func TestCompile(t *testing.T) {
	t.Setenv("GOFLAGS", "-race") // what a test of the host may run under
	for _, mode := range []guest.Mode{guest.Command, guest.Reactor} {
		t.Run(string(mode), func(t *testing.T) {
			binary, err := compile(t, "./testdata/hello", mode)
			if err != nil {
				t.Fatalf("Compile(hello, %s): %v", mode, err)
			}
			if !bytes.HasPrefix(binary, []byte("\x00asm\x01\x00\x00\x00")) {
				t.Errorf("Compile(hello, %s) begins with %q, want a module", mode, binary[:8])
			}
			start, initialize := exports(binary, "_start"), exports(binary, "_initialize")
			if start != (mode == guest.Command) || initialize != (mode == guest.Reactor) {
				t.Errorf("Compile(hello, %s) exports _start: %t, _initialize: %t", mode, start, initialize)
			}
		})
	}
}

func TestCompileIsReproducible(t *testing.T) {
	t.Parallel()
	first, err := compile(t, "./testdata/hello", guest.Command)
	if err != nil {
		t.Fatal(err)
	}
	second, err := compile(t, "./testdata/hello", guest.Command)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two builds of one source differ")
	}
}

func TestCompileReportsWhatTheCompilerSaid(t *testing.T) {
	t.Parallel()
	_, err := compile(t, "./testdata/broken", guest.Command)
	broken, ok := errors.AsType[*guest.BuildError](err)
	if !ok || !strings.Contains(broken.Error(), "main.go:4") {
		t.Errorf("Compile(broken) = %v, want a BuildError that names the line", err)
	}
}

func TestCompileTakesNoFlagsForPackages(t *testing.T) {
	t.Parallel()
	if _, err := compile(t, "-toolexec=false", guest.Command); err == nil {
		t.Error("Compile took a flag for a package")
	}
}

func TestCompileEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := guest.Compile(ctx, guest.Source{Package: "./testdata/hello"}, guest.Command)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Compile under an ended context = %v, want context.Canceled", err)
	}
}

func TestCompileWithoutToolchain(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := compile(t, "./testdata/hello", guest.Command); !errors.Is(err, guest.ErrNoToolchain) {
		t.Errorf("Compile without go on PATH = %v, want ErrNoToolchain", err)
	}
}
