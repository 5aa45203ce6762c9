package wsk

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), name, args...)
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v\n%s", cmd.Args, said)
}

var errSilent = errors.New("the server ended before it listened")

// serve starts a standalone executor, and gives its URL and what stops it.
func serve(program, state string) (url string, stop func(), err error) {
	cmd := exec.Command(program, "serve", "--api-addr", "127.0.0.1:0", "--runtime-addr", "off", "--state-dir", state)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	read := make(chan struct{})
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(stderr)
	url = announced(lines)
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, stderr) // lest the server blocks
	}()
	if url == "" {
		stop()
		return "", nil, errSilent
	}
	return url, stop, nil
}

// announced is the URL that a server says it listens at; "" if it ended before.
func announced(lines *bufio.Scanner) string {
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening api "); ok {
			return url
		}
	}
	return ""
}
