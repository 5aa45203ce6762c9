package wsk

import (
	"archive/zip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// The key of namespace guest that every OpenWhisk standalone has.
const guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

// TestWsk runs the scripts of testdata/script, each against a server of its own.
func TestWsk(t *testing.T) {
	t.Parallel()
	wsk := client(t)
	dir := t.TempDir()
	server := filepath.Join(dir, "executor")
	run(t, command(t, "go", "build", "-pgo=off", "-o", server, "wasmwhisk/cmd/executor"))
	guests := map[string]string{"add": guest(t, dir, "add"), "hello": guest(t, dir, "hello")}

	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("WSK", wsk)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("WSK_CONFIG_FILE", filepath.Join(env.WorkDir, ".wskprops"))
			return errors.Join(pack(env.WorkDir, guests), connect(env, server))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"wsk":        succeed,
			"eventually": eventually,
			"exits":      exits,
			"keep":       keep,
		},
	})
}

// client is the absolute path of wsk.
func client(t *testing.T) string {
	t.Helper()
	name := os.Getenv("WSK")
	if name == "" {
		t.Skip("the variable WSK names no wsk")
	}
	found, err := exec.LookPath(name)
	require.NoError(t, err)
	path, err := filepath.Abs(found)
	require.NoError(t, err)
	return path
}

// guest compiles one of the examples.
func guest(t *testing.T, dir, name string) string {
	t.Helper()
	file := filepath.Join(dir, name+".wasm")
	build := command(t, "go", "build", "-race=false", "-buildmode=c-shared", "-o", file, "wasmwhisk/examples/"+name)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	run(t, build)
	return file
}

// pack puts modules into a directory, as they are and in zips.
func pack(dir string, guests map[string]string) error {
	for name, file := range guests {
		binary, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path+".wasm", binary, 0o600), zipped(path+".zip", binary)); err != nil {
			return err
		}
	}
	return nil
}

func zipped(path string, binary []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	z := zip.NewWriter(file)
	w, err := z.Create("main.wasm")
	if err == nil {
		_, err = w.Write(binary)
	}
	return errors.Join(err, z.Close(), file.Close())
}

// connect starts a server for one script, and has wsk know it.
func connect(env *testscript.Env, program string) error {
	url, stop, err := serve(program, filepath.Join(env.WorkDir, "state"))
	if err != nil {
		return err
	}
	env.Defer(stop)
	properties := fmt.Sprintf("AUTH=%s\nAPIHOST=%s\nNAMESPACE=guest\n", guestKey, url)
	return os.WriteFile(filepath.Join(env.WorkDir, ".wskprops"), []byte(properties), 0o600)
}

// succeed is "wsk ARGS…": it has to exit with 0.
func succeed(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec(ts.Getenv("WSK"), args...))
}

// eventually is "eventually ARGS…": what wsk asks for comes about behind an
// answer, so it is asked until it exits with 0.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if ts.Exec(ts.Getenv("WSK"), args...) == nil {
			return
		}
	}
	ts.Fatalf("wsk %v does not come to exit with 0", args)
}

// exits is "exits CODE ARGS…": wsk has to exit with the code, which is that of
// HTTP, modulo 256.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	if err := ts.Exec(ts.Getenv("WSK"), args[1:]...); !errors.As(err, &exit) {
		ts.Fatalf("wsk %v: %v, want exit code %d", args[1:], err, want)
	}
	if got := exit.ExitCode(); got != want {
		ts.Fatalf("wsk %v exits with %d, want %d", args[1:], got, want)
	}
}

// keep is "keep VARIABLE PATTERN": it keeps the first group of what the last
// command printed.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	printed := ts.ReadFile("stdout")
	found := regexp.MustCompile(args[1]).FindStringSubmatch(printed)
	if len(found) < 2 {
		ts.Fatalf("stdout has no group of %s: %s", args[1], printed)
	}
	ts.Setenv(args[0], found[1])
}
