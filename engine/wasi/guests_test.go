package wasi_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// program is a compiled Go guest, see testdata/guest.
type program struct {
	t      *testing.T
	module engine.Module
}

// forPrograms runs a test with the guest on every engine.
func forPrograms(t *testing.T, test func(program)) {
	binary := guesttest.Build(t, "wasmwhisk/engine/wasi/testdata/guest", guest.Command)
	for name, openEngine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if raceDetector && name == "wazero compiler" {
				t.Skip("the race detector slows compilation down tenfold and sees nothing of what is compiled")
			}
			module, err := open(t, openEngine).Compile(t.Context(), binary)
			require.NoError(t, err)
			t.Cleanup(func() { _ = module.Close(context.Background()) })
			test(program{t, module})
		})
	}
}

// run runs the guest, which must exit with a code of 0, and gives its output.
func (p program) run(config wasi.Config, args ...string) string {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	config.Args = append([]string{"guest"}, args...)
	config.Stdout, config.Stderr = &stdout, &stderr
	code, err := runModule(p.t.Context(), p.module, config)
	require.NoError(p.t, err, "guest %v: %s", args, &stderr)
	require.Zero(p.t, code, "guest %v: %s", args, &stderr)
	return stdout.String()
}

func TestGoGuests(t *testing.T) {
	t.Parallel()
	forPrograms(t, func(p program) {
		for name, test := range map[string]func(program){
			"arguments and environment": testArguments,
			"standard streams":          testStreams,
			"files":                     testFiles,
			"read-only files":           testReadOnlyFiles,
			"escapes":                   testEscapes,
			"exit code":                 testExitCode,
			"sleep":                     testSleep,
			"deadline":                  testDeadline,
		} {
			p.t.Run(name, func(t *testing.T) { test(program{t, p.module}) })
		}
	})
}

func testArguments(p program) {
	got := p.run(wasi.Config{Env: []string{"B=x y", "A="}}, "args", "one", "", "zwölf")
	require.Equal(p.t, "one||zwölf\nA=|B=x y\n", got)
}

func testStreams(p program) {
	text := strings.Repeat("0123456789", 100_000)
	require.Equal(p.t, text, p.run(wasi.Config{Stdin: strings.NewReader(text)}, "echo"))
	var result bytes.Buffer
	p.run(wasi.Config{Result: &result}, "result")
	require.Equal(p.t, "the result\n", result.String())
}

func testFiles(p program) {
	dir := p.t.TempDir()
	const want = "hello world\nb/\ng ---------- 11\nl L--------- 1\n"
	for _, config := range []wasi.Config{
		{Mounts: []wasi.Mount{mountDir(p.t, dir, "/data", wasi.ReadWrite)}},
		{Mounts: []wasi.Mount{mountDir(p.t, dir, "/data", wasi.ReadWrite)}, Result: new(bytes.Buffer)},
	} {
		require.Equal(p.t, want, p.run(config, "files", "/data"))
		require.Equal(p.t, "through a root\n", p.run(config, "root", "/data"))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(p.t, err)
	require.Empty(p.t, entries, "left behind")
}

func testReadOnlyFiles(p program) {
	dir := p.t.TempDir()
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o600))
	config := wasi.Config{Mounts: []wasi.Mount{mountDir(p.t, dir, "/data", wasi.ReadOnly)}}
	require.Equal(p.t, "/data/f opened\n/data opened\n", p.run(config, "open", "/data/f", "/data"))

	var stderr bytes.Buffer
	config.Args, config.Stderr = []string{"guest", "files", "/data"}, &stderr
	code, err := runModule(p.t.Context(), p.module, config)
	require.NoError(p.t, err)
	require.Equal(p.t, uint32(1), code)
	require.Contains(p.t, stderr.String(), "Read-only file system")
}

func testEscapes(p program) {
	outer := p.t.TempDir()
	dir := filepath.Join(outer, "mounted")
	require.NoError(p.t, os.Mkdir(dir, 0o700))
	require.NoError(p.t, os.WriteFile(filepath.Join(outer, "secret"), nil, 0o600))
	require.NoError(p.t, os.Symlink("../secret", filepath.Join(dir, "relative")))
	require.NoError(p.t, os.Symlink(filepath.Join(outer, "secret"), filepath.Join(dir, "absolute")))
	config := wasi.Config{Mounts: []wasi.Mount{mountDir(p.t, dir, "/data", wasi.ReadWrite)}}
	for _, path := range []string{
		"/data/../secret", "/data/relative", "/data/absolute", "../secret", "/etc/passwd", filepath.Join(outer, "secret"),
	} {
		require.Equal(p.t, path+" refused\n", p.run(config, "open", path))
	}
}

func testExitCode(p program) {
	for code, arg := range map[uint32]string{0: "0", 7: "7", 1<<32 - 1: "-1"} {
		got, err := runModule(p.t.Context(), p.module, wasi.Config{Args: []string{"guest", "exit", arg}})
		require.NoError(p.t, err)
		require.Equal(p.t, code, got)
	}
}

func testSleep(p program) {
	p.run(wasi.Config{}, "sleep", "30ms")
	require.Equal(p.t, "60ms\n", p.run(wasi.Config{}, "timeouts"))
}

// testDeadline ends guests that wait: for a timer, for input, for nothing.
func testDeadline(p program) {
	reader, writer, err := os.Pipe()
	require.NoError(p.t, err)
	defer reader.Close()
	defer writer.Close()
	timeUp := errors.New("time is up")
	for _, args := range [][]string{{"sleep", "1h"}, {"echo"}} {
		ctx, cancel := context.WithTimeoutCause(p.t.Context(), 50*time.Millisecond, timeUp)
		_, err := runModule(ctx, p.module, wasi.Config{Args: append([]string{"guest"}, args...), Stdin: reader})
		cancel()
		require.ErrorIs(p.t, err, timeUp, "guest %v", args)
	}
}
