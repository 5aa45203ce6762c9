//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
)

// TestMain makes this test binary a worker if its first argument says so: a
// worker has no environment to tell it.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "worker" {
		goleak.VerifyTestMain(m)
		return
	}
	err := liveAs(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// liveAs is the life of a worker of a test, an honest or a hostile one.
func liveAs(what string) error {
	ctx := context.Background()
	switch what {
	case "wazero":
		return Main(ctx, openWazero)
	case "prying":
		return Main(ctx, openPrying)
	case "failing":
		return Main(ctx, func(context.Context, engine.Config) (engine.WasmRuntime, error) {
			return nil, errors.New("no engine today")
		})
	}
	return beHostile(what)
}

func openWazero(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
	return wazero.NewCompiler(ctx, c)
}

// newSupervisor starts workers of a kind for the time of a test.
func newSupervisor(t testing.TB, what string, change ...func(*Config)) *Supervisor {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	config := Config{Command: []string{program, "worker", what}}
	for _, c := range change {
		c(&config)
	}
	s, err := New(config)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// open gives a runner of a module in the text format.
func (s *Supervisor) open(t testing.TB, source string, policy sandbox.Policy) *Runner {
	t.Helper()
	r, err := s.Open(t.Context(), Code{Binary: wat.Must(source)}, policy)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// reactor wraps the body of ow_run, whose parameters are $at and $n, into a
// guest. Memory from 8 on is the guest's, and $crash what a prying engine
// crashes at.
func reactor(run string, fields ...string) string {
	source := `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "whisk" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "{}")
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "ow_run") (param $at i32) (param $n i32) (result i64) ` + run + `)`
	for _, f := range fields {
		source += f
	}
	return source + ")"
}

const (
	echoes   = `(i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))`
	spins    = `(loop $l (br $l)) (i64.const 2)`
	branches = `(if (i32.eq (i32.load8_u (local.get $at)) (i32.const 91)) (then (loop $l (br $l)))) ` + echoes // spins on an array
)

// waits waits 300 ms in a host function.
const waits = `(module (import "http" "get" (func $get (result i32))) (memory (export "memory") 1) (data (i32.const 0) "{}")
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 64))
  (func (export "ow_run") (param i32 i32) (result i64) (drop (call $get)) (i64.const 2)))`

// prying is an engine that has been taken over by a guest: it tries what a
// worker must not be able to do, where a module is compiled, and says what it
// could.
type prying struct{ engine.WasmRuntime }

func openPrying(ctx context.Context, c engine.Config) (engine.WasmRuntime, error) {
	rt, err := openWazero(ctx, c)
	return prying{rt}, err
}

func (p prying) Compile(context.Context, []byte) (engine.Module, error) {
	var could []string
	try := func(what string, err error) {
		if err == nil {
			could = append(could, what)
		}
	}
	_, err := os.Open("/etc/hostname")
	try("read a file", err)
	_, err = os.Create("/tmp/wasmwhisk-worker-escaped")
	try("write a file", err)
	_, err = net.Dial("udp", "127.0.0.1:9")
	try("open a socket", err)
	_, err = net.Dial("unix", "/run/systemd/notify")
	try("reach a local service", ifNot(err, syscall.EPERM))
	try("start a program", exec.Command("/bin/true").Run())
	try("signal another process", syscall.Kill(os.Getppid(), 0))
	try("watch another process", syscall.PtraceAttach(os.Getppid()))
	try("raise its limits", syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: 1 << 40, Max: 1 << 40}))
	if n := len(os.Environ()); n > 1 { // TMPDIR is its own
		could = append(could, "see an environment")
	}
	for fd := 3; fd < 64; fd++ {
		var stat syscall.Stat_t
		if syscall.Fstat(fd, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG && stat.Size > 0 { // not what the kernel makes up
			could = append(could, "use descriptor "+strconv.Itoa(fd))
		}
	}
	return nil, &engine.InvalidModuleError{Err: fmt.Errorf("it could %q", could)}
}

// ifNot is nil unless err is that one: another error than that of the wall means
// that there was none.
func ifNot(err error, wall error) error {
	if errors.Is(err, wall) {
		return err
	}
	return nil
}

// beHostile does what a worker should not do.
func beHostile(how string) error {
	conn, err := inherited()
	if err != nil {
		return err
	}
	say := func(f frame) { _, _ = conn.Write(f.encode()) }
	say(frame{kind: kindHello})
	w := &worker{conn: conn}
	if _, _, _, err := w.receiveAssignment(); err != nil {
		return err
	}
	if how == "dies-assigned" {
		return errors.New("enough")
	}
	say(frame{kind: kindReady, payload: []byte(`{}`)})
	f, err := readFrame(conn, 1<<20)
	if err != nil {
		return err
	}
	outcome := func(out sandbox.Outcome) []byte {
		payload, _ := encodeOutcome(out)
		return payload
	}
	switch how {
	case "dies":
		return errors.New("enough")
	case "unknown-id":
		say(frame{kind: kindOutcome, id: f.id + 1, payload: outcome(sandbox.Outcome{Result: []byte("{}")})})
	case "huge":
		_, _ = conn.Write([]byte{byte(kindOutcome), 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	case "no-json":
		say(frame{kind: kindOutcome, id: f.id, payload: outcome(sandbox.Outcome{Result: []byte(`{}, "x": {}`)})})
	case "forged-log":
		logs := sandbox.Logs{Lines: []sandbox.Line{{Text: "one\nXXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"}}}
		say(frame{kind: kindOutcome, id: f.id, payload: outcome(sandbox.Outcome{Result: []byte(`{}`), Logs: logs})})
	case "garbage":
		say(frame{kind: kindOutcome, id: f.id, payload: []byte("garbage")})
	case "twice":
		say(frame{kind: kindReady})
	}
	select {} // and does not end by itself
}
