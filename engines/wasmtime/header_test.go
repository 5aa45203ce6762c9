//go:build cgo && linux && amd64

package wasmtime_test

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v44"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDeclarations compiles the shim's declarations beside wasmtime's own: each
// must agree with its original, and sizes must be what the shim counts on.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	const source = "#include <wasmtime.h>\n#include \"shim.h\"\n"
	cmd := exec.CommandContext(t.Context(), output(t, "go", "env", "CC"), "-std=c11", "-fsyntax-only", "-xc",
		"-I", filepath.Join(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/bytecodealliance/wasmtime-go/v44"), "build", "include"),
		"-I", ".", "-")
	cmd.Stdin = strings.NewReader(source)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", text)
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), name, args...).Output()
	require.NoError(t, err, "%s %v", name, args)
	return strings.TrimSpace(string(text))
}

// TestWrappers holds wasmtime-go to wrapping one pointer each, which the driver
// passes to functions that wasmtime-go does not offer.
func TestWrappers(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{
		reflect.TypeFor[wasmtime.Config](), reflect.TypeFor[wasmtime.Engine](), reflect.TypeFor[wasmtime.Module](),
	} {
		assert.Equal(t, reflect.Pointer, of.Field(0).Type.Kind(), "%v.%s", of, of.Field(0).Name)
		assert.Equal(t, "_ptr", of.Field(0).Name, "the first field of %v", of)
	}
}
