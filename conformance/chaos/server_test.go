package chaos

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is the executor, built as a user would.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "executor")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-pgo=off", "-o", file, "wasmwhisk/cmd/executor").CombinedOutput()
	require.NoError(t, err, "%s", said)
	return file
}

// server is a process of the executor.
type server struct {
	cmd *exec.Cmd
	url string
	log string // its file
}

// start runs the executor on a state directory, on a port of its choice.
func start(t *testing.T, program, state string) *server {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "log")
	require.NoError(t, err)
	s := &server{log: log.Name()}
	s.cmd = exec.Command(program, "serve", "--api-addr", "127.0.0.1:0", "--runtime-addr", "off", "--state-dir", state,
		"--limits", `{"invocationsPerMinute":1000000,"concurrentInvocations":1000,"firesPerMinute":1000000}`)
	stderr, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	listening := make(chan string, 1)
	go follow(stderr, log, listening)
	select {
	case s.url = <-listening:
	case <-time.After(time.Minute):
	}
	require.NotEmpty(t, s.url, "the server does not listen: %s", s.said())
	return s
}

// follow keeps what a server says, and tells where it listens; "" if it ended
// before.
func follow(stderr io.Reader, log io.WriteCloser, listening chan<- string) {
	defer log.Close()
	defer close(listening)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		_, _ = io.WriteString(log, lines.Text()+"\n")
		if url, ok := strings.CutPrefix(lines.Text(), "listening api "); ok {
			listening <- url
		}
	}
}

func (s *server) said() string {
	text, _ := os.ReadFile(s.log)
	return string(text)
}

// kill ends the process as a loss of power would end it, but for what the kernel
// still writes.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
