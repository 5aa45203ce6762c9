//go:build !wasip1

package actionsdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asProgram makes the test binary the action [probe].
const asProgram = "ACTIONSDK_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		Start(probe)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// probe does what its event says.
func probe(event json.RawMessage) (json.RawMessage, error) {
	var in struct{ Do, Arg string }
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, err
	}
	switch in.Do {
	case "answer":
		return json.RawMessage(in.Arg), nil
	case "fail":
		return nil, errors.New(in.Arg)
	case "panic":
		panic(in.Arg)
	case "print":
		fmt.Println(in.Arg)
		return nil, nil
	case "env":
		return json.Marshal(map[string]string{"env": os.Getenv(in.Arg)})
	}
	return event, nil
}

// program runs the test binary as the action.
func program(t *testing.T, stdin string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(env, asProgram+"=1")
	return cmd
}

func TestProgramAnswersItsArgument(t *testing.T) {
	t.Parallel()
	out, err := program(t, "", nil, `{"do":"print","arg":"a log line"}`).Output()
	require.NoError(t, err)
	assert.Equal(t, "a log line\n{}\n", string(out))
}

func TestProgramAnswersStdinWhenTheArgumentWasTooLong(t *testing.T) {
	t.Parallel()
	out, err := program(t, `{"do":"env","arg":"__OW_ACTIVATION_ID"}`, []string{"__OW_ACTIVATION_ID=abc"}).Output()
	require.NoError(t, err)
	assert.Equal(t, `{"env":"abc"}`+"\n", string(out))
}

func TestProgramSpeaksActionLoop(t *testing.T) {
	t.Parallel()
	requests := `{"value":{"do":"print","arg":"a log line"}}` + "\n" +
		`{"value":{"do":"env","arg":"__OW_ACTIVATION_ID"},"activation_id":"abc"}` + "\n"
	cmd := program(t, requests, []string{"__OW_WAIT_FOR_ACK=1"})
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	cmd.ExtraFiles = []*os.File{write}
	logs, err := cmd.Output() // what it writes fits into the pipe
	require.NoError(t, err)
	require.NoError(t, write.Close())
	results, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Equal(t, "{\"ok\":true}\n{}\n{\"env\":\"abc\"}\n", string(results))
	assert.Equal(t, "a log line\n", string(logs))
}

func TestProgramSaysWhyItCannotServe(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cmd := program(t, "", []string{"WASMWHISK_ADDR=" + taken.Addr().String()})
	said, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, err)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(said), "actionsdk: listen tcp "+taken.Addr().String())
}

func TestLoop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, requests, want string }{
		{"nothing", "", ""},
		{"blank lines", "\n \r\n", ""},
		{"no line end", `{"value":{"a":1}}`, `{"a":1}` + "\n"},
		{"no value", "{}\n", "{}\n"},
		{"two", `{"value":{"a":1}}` + "\n" + `{"value":{"a":2}}` + "\n", `{"a":1}` + "\n" + `{"a":2}` + "\n"},
		{"an error", `{"value":{"do":"fail","arg":"no"}}`, `{"error":"no"}` + "\n"},
		{"an answer on two lines", `{"value":{"do":"answer","arg":"{\n}"}}`, "{ }\n"},
		{"no JSON", "hello\n", `{"error":"request: invalid character 'h' looking for beginning of value"}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var results bytes.Buffer
			require.NoError(t, loop(probe, strings.NewReader(tc.requests), &results))
			assert.Equal(t, tc.want, results.String())
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestLoopEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	err := loop(probe, strings.NewReader("{}\n{}\n"), brokenPipe{})
	assert.ErrorIs(t, err, io.ErrClosedPipe)
}
