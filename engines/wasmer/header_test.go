//go:build cgo && linux && amd64

package wasmer_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDeclarations compiles the shim's declarations of functions beside wasmer's
// own: each must agree with its original.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	const source = "#include <wasmer.h>\n#include \"shim.h\"\n"
	cmd := exec.CommandContext(t.Context(), output(t, "go", "env", "CC"), "-std=gnu11", "-fsyntax-only", "-xc",
		"-I", filepath.Join(output(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/wasmerio/wasmer-go"), "wasmer", "packaged", "include"),
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
