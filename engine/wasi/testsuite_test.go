package wasi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/engines/wasmtime"
	wazeroengine "wasmwhisk/engines/wazero"
)

// openEngine opens an engine whose guests get the functions of this package.
type openEngine func(context.Context, engine.Config) (engine.WasmRuntime, error)

// engines are those of this binary.
var engines = withWasmtime(map[string]openEngine{
	"wazero compiler": func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
		return wazeroengine.NewCompiler(ctx, c)
	},
	"wazero interpreter": func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
		return wazeroengine.NewInterpreter(ctx, c)
	},
})

func withWasmtime(engines map[string]openEngine) map[string]openEngine {
	if wasmtime.Missing == "" {
		engines["wasmtime"] = func(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
			return wasmtime.New(ctx, c)
		}
	}
	return engines
}

func open(tb testing.TB, open openEngine) engine.WasmRuntime {
	tb.Helper()
	rt, err := open(context.Background(), engine.Config{HostFuncs: wasi.Functions()})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = rt.Close(context.Background()) })
	return rt
}

// run runs a command to its end and gives its exit code.
func run(ctx context.Context, tb testing.TB, rt engine.WasmRuntime, binary []byte, config wasi.Config) (uint32, error) {
	tb.Helper()
	module, err := rt.Compile(ctx, binary)
	require.NoError(tb, err)
	defer module.Close(ctx)
	return runModule(ctx, module, config)
}

func runModule(ctx context.Context, module engine.Module, config wasi.Config) (uint32, error) {
	system := wasi.NewSystem(config)
	defer system.Close()
	ctx = wasi.NewContext(ctx, system)
	instance, err := module.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return 0, err
	}
	defer instance.Close(ctx)
	_, err = instance.Call(ctx, "_start")
	if exit, ok := errors.AsType[*engine.ExitError](err); ok {
		return exit.Code, nil
	}
	return 0, err
}

// testsuiteVariable names a checkout of the public WASI test suite
// (WebAssembly/wasi-testsuite, branch prod/testsuite-base).
const testsuiteVariable = "WASI_TESTSUITE"

// TestPublicTestsuite runs the suite's modules for preview1.
func TestPublicTestsuite(t *testing.T) {
	t.Parallel()
	checkout := os.Getenv(testsuiteVariable)
	if checkout == "" {
		t.Skipf("%s is not set: it names a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base", testsuiteVariable)
	}
	binaries, err := filepath.Glob(filepath.Join(checkout, "tests/*/testsuite/wasm32-wasip1/*.wasm"))
	require.NoError(t, err)
	require.NotEmpty(t, binaries, "modules for preview1 in %s", checkout)
	skipped := readSkipList(t)
	for name, openEngine := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := open(t, openEngine)
			for _, binary := range binaries {
				t.Run(suiteName(binary), func(t *testing.T) {
					if reason, ok := skipped[suiteName(binary)]; ok {
						t.Skip(reason)
					}
					runSuiteTest(t, rt, binary)
				})
			}
		})
	}
}

// suiteName is a module's language and name, such as "rust/fd_readdir".
func suiteName(binary string) string {
	language := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(binary))))
	return language + "/" + strings.TrimSuffix(filepath.Base(binary), ".wasm")
}

// readSkipList gives the tests that are left out, and why.
func readSkipList(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/testsuite_skip.json")
	require.NoError(t, err)
	var list []struct{ Test, Reason string }
	require.NoError(t, json.Unmarshal(data, &list))
	skipped := map[string]string{}
	for _, entry := range list {
		require.NotEmpty(t, entry.Reason, "the reason to skip %s", entry.Test)
		skipped[entry.Test] = entry.Reason
	}
	return skipped
}

// suiteSpec says how to run a module of the suite and what to expect.
type suiteSpec struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Root     string            `json:"root"`
	ExitCode uint32            `json:"exit_code"`
	Stdout   string            `json:"stdout"`
	Stderr   string            `json:"stderr"`
}

func readSuiteSpec(t *testing.T, binary string) suiteSpec {
	t.Helper()
	var spec suiteSpec
	data, err := os.ReadFile(strings.TrimSuffix(binary, ".wasm") + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return spec
	}
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // what this runner does not know it cannot check
	require.NoError(t, decoder.Decode(&spec))
	return spec
}

func runSuiteTest(t *testing.T, rt engine.WasmRuntime, binary string) {
	code, err := os.ReadFile(binary)
	require.NoError(t, err)
	spec := readSuiteSpec(t, binary)
	var stdout, stderr bytes.Buffer
	config := wasi.Config{
		Args:   append([]string{filepath.Base(binary)}, spec.Args...),
		Stdout: &stdout,
		Stderr: &stderr,
	}
	for key, value := range spec.Env {
		config.Env = append(config.Env, key+"="+value)
	}
	if spec.Root != "" {
		config.Mounts = []wasi.Mount{mountCopy(t, filepath.Join(filepath.Dir(binary), spec.Root))}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	exitCode, err := run(ctx, t, rt, code, config)

	require.NoError(t, err, "stdout: %s\nstderr: %s", &stdout, &stderr)
	require.Equal(t, spec.ExitCode, exitCode, "exit code; stdout: %s\nstderr: %s", &stdout, &stderr)
	if spec.Stdout != "" {
		require.Equal(t, spec.Stdout, stdout.String(), "stdout")
	}
	if spec.Stderr != "" {
		require.Equal(t, spec.Stderr, stderr.String(), "stderr")
	}
}

// mountCopy mounts a copy of dir as the guest's root.
func mountCopy(t *testing.T, dir string) wasi.Mount {
	t.Helper()
	scratch := t.TempDir()
	require.NoError(t, os.CopyFS(scratch, os.DirFS(dir)))
	return mountDir(t, scratch, "/", wasi.ReadWrite)
}

func mountDir(tb testing.TB, dir, guest string, access wasi.Access) wasi.Mount {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(tb, err)
	tb.Cleanup(func() { root.Close() })
	return wasi.Mount{Guest: guest, Root: root, Access: access}
}
