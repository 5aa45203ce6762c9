package cli_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/cmd/executor/cli"
)

func TestQuickstart(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	env := cli.Env{Stdin: bytes.NewReader(nil), Stdout: &stdout, Stderr: &stderr, Getenv: os.Getenv}
	// The race detector makes compiling ten times slower.
	args := []string{"quickstart", "--once", "--compile-timeout", "10m"}
	require.Zero(t, cli.Main(t.Context(), &env, args), "%s", &stderr)
	for _, want := range []string{
		`PUT /api/v1/namespaces/_/actions/add`, `> {"param1":5,"param2":4}`, `"result":{"result":9}`, `"key":"initTime"`,
		"cold", "warm", "Try next", "wsk property set",
	} {
		assert.Contains(t, stdout.String(), want)
	}
}
