package cli_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wasmwhisk/cmd/executor/cli"
	"wasmwhisk/internal/wat"
)

// TestMain lets this binary be the executor in scripts and in processes of
// their own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"executor": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		env := cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ()}
		code := cli.Main(ctx, &env, os.Args[1:])
		stop()
		os.Exit(code)
	}})
}

// TestScripts runs the command lines of testdata/script.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			source, err := os.Getwd()
			env.Setenv("SOURCE", source) // within the module, for what builds examples
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"wat":      assemble,
			"post":     post,
			"get":      get,
			"await":    waitFor,
			"comes-to": comeTo,
		},
	})
}

// assemble is "wat FILE.wat FILE.wasm".
func assemble(ts *testscript.TestScript, _ bool, args []string) {
	binary, err := wat.Compile(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), binary, 0o600))
}

// waitFor is "await FILE PATTERN VARIABLE": it waits until the file, which a
// process in the background writes, matches, and keeps the first group.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[1])
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		text, _ := os.ReadFile(ts.MkAbs(args[0]))
		if m := pattern.FindSubmatch(text); m != nil {
			ts.Setenv(args[2], string(m[1]))
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s does not come to match %s", args[0], pattern)
}

// post is "post URL BODY STATUS": the answer goes to stdout.
func post(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Post(args[0], "application/json", strings.NewReader(args[1]))
	answered(ts, resp, err, args[2])
}

// get is "get URL STATUS".
func get(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(args[0])
	answered(ts, resp, err, args[1])
}

// comeTo is "comes-to URL STATUS": get, again until that is the status.
func comeTo(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		resp, err := http.Get(args[0])
		ts.Check(err)
		if strings.HasPrefix(resp.Status, args[1]) {
			answered(ts, resp, nil, args[1])
			return
		}
		resp.Body.Close()
		<-tick.C
	}
	ts.Fatalf("%s does not come to %s", args[0], args[1])
}

func answered(ts *testscript.TestScript, resp *http.Response, err error, status string) {
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(body)
	if !strings.HasPrefix(resp.Status, status) {
		ts.Fatalf("answered %s, want %s: %s", resp.Status, status, body)
	}
}
