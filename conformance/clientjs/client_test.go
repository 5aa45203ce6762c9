package clientjs

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The key of namespace guest that every OpenWhisk standalone has.
const guestKey = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"

func TestClient(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "js"), os.DirFS(".")))
	ci := command(t, "npm", "ci", "--no-audit", "--no-fund")
	ci.Dir = filepath.Join(dir, "js")
	run(t, ci)

	guest := filepath.Join(dir, "add.wasm")
	build := command(t, "go", "build", "-race=false", "-buildmode=c-shared", "-o", guest, "wasmwhisk/examples/add")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	run(t, build)
	server := filepath.Join(dir, "executor")
	run(t, command(t, "go", "build", "-pgo=off", "-o", server, "wasmwhisk/cmd/executor"))

	tests := command(t, "npm", "test")
	tests.Dir = ci.Dir
	tests.Env = append(os.Environ(), "__OW_API_HOST="+serve(t, server, filepath.Join(dir, "state")), "__OW_API_KEY="+guestKey, "ADD_WASM="+guest)
	run(t, tests)
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), name, args...)
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v\n%s", cmd.Args, said)
}

// serve starts a standalone executor for the time of the test and gives its URL.
func serve(t *testing.T, program, state string) string {
	t.Helper()
	cmd := exec.Command(program, "serve", "--api-addr", "127.0.0.1:0", "--runtime-addr", "off", "--state-dir", state,
		"--limits", `{"invocationsPerMinute":10000,"firesPerMinute":10000}`)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	url := make(chan string, 1)
	go announce(stderr, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case u := <-url:
		return u
	case <-ctx.Done():
		t.Fatal("the server does not listen")
		return ""
	}
}

// announce gives the URL that a server says it listens at, and reads on, lest
// the server blocks.
func announce(stderr io.Reader, url chan<- string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if u, ok := strings.CutPrefix(lines.Text(), "listening api "); ok {
			url <- u
		}
	}
}
