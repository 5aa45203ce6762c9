package wasi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

func TestFunctionsAreThoseOfPreview1(t *testing.T) {
	t.Parallel()
	funcs := Functions()
	require.Len(t, funcs, 46)
	var names []string
	for _, f := range funcs {
		names = append(names, f.Name)
		require.Equal(t, "wasi_snapshot_preview1", f.Module)
		require.Equal(t, f.Name != "proc_exit", len(f.Type.Results) == 1, "results of %s", f.Name)
	}
	require.True(t, slices.IsSorted(names), "sorted, so without doubles: %v", names)
}

func TestCallWithoutSystemIsAnError(t *testing.T) {
	t.Parallel()
	err := Functions()[0].Call(t.Context(), make(engine.Memory, 8), make([]uint64, 2))
	require.Error(t, err)
}

func TestArgsAndEnvironment(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Args: []string{"prog", "", "käse"}, Env: []string{"A=1", "B=x=y"}})
	for name, want := range map[string][]string{"args": g.system.config.Args, "environ": g.system.config.Env} {
		g.ok(name+"_sizes_get", out, out+4)
		joined := strings.Join(want, "\x00") + "\x00"
		require.Equal(t, uint32(len(want)), g.u32(out), "count of %s", name)
		require.Equal(t, uint32(len(joined)), g.u32(out+4), "bytes of %s", name)

		pointers, text := g.alloc(4*len(want)), g.alloc(len(joined))
		g.ok(name+"_get", uint64(pointers), uint64(text))
		require.Equal(t, joined, string(g.mem[text:text+uint32(len(joined))]))
		for i, str := range want {
			at := g.u32(pointers + uint32(4*i))
			require.Equal(t, str+"\x00", string(g.mem[at:at+uint32(len(str))+1]))
		}
	}
}

func TestArgsOutsideOfMemory(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Args: []string{"prog"}, Env: []string{"A=1"}})
	end := uint64(len(g.mem))
	for _, name := range []string{"args_get", "args_sizes_get", "environ_get", "environ_sizes_get"} {
		for _, bad := range []uint64{end, end - 3, 1<<32 - 1} {
			g.gives(eFAULT, name, bad, out)
			g.gives(eFAULT, name, out, bad)
		}
	}
}

func TestExit(t *testing.T) {
	t.Parallel()
	for _, code := range []uint32{0, 1, 255, 1<<32 - 1} {
		_, err := newGuest(t, Config{}).call("proc_exit", uint64(code))
		exit, ok := errors.AsType[*engine.ExitError](err)
		require.True(t, ok, "proc_exit(%d) gives %v", code, err)
		require.Equal(t, code, exit.Code)
	}
}

func TestRaise(t *testing.T) {
	t.Parallel()
	const abrt, kill, segv, term, tstp = 6, 9, 11, 15, 19
	g := newGuest(t, Config{})
	for _, ignored := range []uint64{sigNone, sigChld, sigCont, sigUrg, sigWinch} {
		g.ok("proc_raise", ignored)
	}
	for _, deadly := range []uint64{1, abrt, kill, segv, term, sigSys} {
		_, err := g.call("proc_raise", deadly)
		require.Equal(t, &engine.ExitError{Code: 128 + uint32(deadly)}, err, "proc_raise(%d)", deadly)
	}
	g.gives(eNOTSUP, "proc_raise", tstp)
	g.gives(eINVAL, "proc_raise", sigSys+1)
	g.gives(eINVAL, "proc_raise", 1<<32-1)
}

func TestSchedYield(t *testing.T) {
	t.Parallel()
	newGuest(t, Config{}).ok("sched_yield")
}

func TestRandom(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	g.ok("random_get", 0, 256)
	require.NotEqual(t, make([]byte, 256), []byte(g.mem[:256]), "256 random bytes are all zero")
	require.Equal(t, make([]byte, 256), []byte(g.mem[256:512]), "bytes after those asked for")
	g.ok("random_get", uint64(len(g.mem)), 0)
	g.gives(eFAULT, "random_get", 1, uint64(len(g.mem)))
	g.gives(eFAULT, "random_get", 1<<32-1, 1<<32-1)
}

func TestRandomFromConfig(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Random: strings.NewReader("abcdef")})
	g.ok("random_get", out, 6)
	require.Equal(t, "abcdef", string(g.mem[out:out+6]))
	g.gives(eIO, "random_get", out, 1)
}

// endless gives zeros, and ends the context once it has given as many as allowed.
type endless struct {
	left   int
	cancel context.CancelCauseFunc
}

func (e *endless) Read(p []byte) (int, error) {
	e.left -= len(p)
	if e.left <= 0 {
		e.cancel(errTimeUp)
	}
	return len(p), nil
}

var errTimeUp = errors.New("time is up")

func TestRandomEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	source := &endless{left: 3 * maxPiece, cancel: cancel}
	g := newGuest(t, Config{Random: source})
	g.ctx, g.mem = ctx, make(engine.Memory, 16*maxPiece)
	_, err := g.call("random_get", 0, uint64(len(g.mem)))
	require.Equal(t, errTimeUp, err)
	require.Equal(t, 0, source.left, "bytes made after the context was done")
}

func TestSocketsDoNotExist(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Stdout: io.Discard})
	g.gives(eNOTSOCK, "sock_shutdown", 1, 0)
	g.gives(eBADF, "sock_shutdown", 3, 0)
	g.gives(eNOTSOCK, "sock_accept", 0, 0, out)
	g.gives(eNOTSOCK, "sock_recv", 0, 0, 0, 0, 0, 0)
	g.gives(eBADF, "sock_send", 1<<32-1, 0, 0, 0, 0)
}

func TestGuestWithoutMemory(t *testing.T) {
	t.Parallel()
	for _, f := range Functions() {
		g := newGuest(t, Config{Args: []string{"a"}, Mounts: []Mount{mount(t, t.TempDir(), ReadWrite)}})
		g.mem = nil
		for fd := range uint64(4) {
			_, _ = g.call(f.Name, slices.Concat([]uint64{fd}, slices.Repeat([]uint64{1}, 8))[:len(f.Type.Params)]...)
		}
	}
}

// TestEveryPointerIsChecked gives each function only huge parameters.
func TestEveryPointerIsChecked(t *testing.T) {
	t.Parallel()
	for _, f := range Functions() {
		if len(f.Type.Params) < 2 {
			continue
		}
		var stdout bytes.Buffer
		g := newGuest(t, Config{
			Args: []string{"a"}, Env: []string{"A=1"}, Stdout: &stdout, Result: &stdout,
			Mounts: []Mount{mount(t, t.TempDir(), ReadWrite)},
		})
		for fd := range uint64(6) {
			params := slices.Repeat([]uint64{1<<64 - 1}, len(f.Type.Params))
			params[0] = fd
			e, err := g.call(f.Name, params...)
			require.NoError(t, err, "%s(%d, huge…)", f.Name, fd)
			require.NotEqual(t, eSUCCESS, e, "%s(%d, huge…)", f.Name, fd)
		}
		require.Empty(t, stdout.String())
	}
}
