package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/cmd/executor/cli"
	"wasmwhisk/internal/wat"
)

// interrupting is an output that interrupts who writes to it.
type interrupting struct{ interrupt context.CancelFunc }

func (i interrupting) Write(p []byte) (int, error) {
	i.interrupt()
	return len(p), nil
}

// TestInterruptedGuests interrupts guests once they are under way: one that
// spins, one that sleeps and one that waits for its input.
func TestInterruptedGuests(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"spinning": "(loop $forever (br $forever))",
		"sleeping": "(drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 0)))",
		"reading":  "(drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0)))",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "guest.wasm")
			require.NoError(t, os.WriteFile(file, wat.Must(`(module
				(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
				(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
				(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
				(memory (export "memory") 1)
				(data (i32.const 8) "\00\00\00\00\05\00\00\00")
				(data (i32.const 88) "\ff\ff\ff\ff\ff\ff\ff\7f")
				(func (export "_start")
					(drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
					`+body+`))`), 0o600))
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			defer reader.Close()
			defer writer.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stderr bytes.Buffer
			env := &cli.Env{
				Stdin: reader, Stdout: interrupting{cancel}, Stderr: &stderr, Getenv: func(string) string { return "" },
			}
			require.Equal(t, 130, cli.Main(ctx, env, []string{"run", file}), "exit code; stderr: %s", &stderr)
			require.Empty(t, stderr.String())
		})
	}
}
