package wasi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

func TestWriteStreams(t *testing.T) {
	t.Parallel()
	var stdout, stderr, result bytes.Buffer
	g := newGuest(t, Config{Stdout: &stdout, Stderr: &stderr, Result: &result})
	for fd, stream := range map[uint32]*bytes.Buffer{1: &stdout, 2: &stderr, 3: &result} {
		e, err := g.write(fd, "hello")
		require.NoError(t, err)
		require.Equal(t, eSUCCESS, e)
		require.Equal(t, "hello", stream.String(), "fd %d", fd)
		require.Equal(t, uint32(5), g.u32(out))
	}
}

func TestWriteGathersBuffers(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	g := newGuest(t, Config{Stdout: &stdout})
	p, _ := g.put("abcdef")
	iovs, n := g.iovecs(uint32(p), 2, uint32(p)+5, 0, uint32(p)+4, 2, uint32(p)+2, 2)
	g.ok("fd_write", 1, iovs, n, out)
	require.Equal(t, "abefcd", stdout.String())
	require.Equal(t, uint32(6), g.u32(out))
}

func TestStreamsThatAreNotGiven(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	e, err := g.write(1, "discarded")
	require.NoError(t, err)
	require.Equal(t, eSUCCESS, e)
	text, e, err := g.read(0, 10)
	require.NoError(t, err)
	require.Equal(t, eSUCCESS, e)
	require.Empty(t, text)
	e, err = g.write(3, "nowhere")
	require.NoError(t, err)
	require.Equal(t, eBADF, e)
}

func TestStreamsHaveADirection(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	e, err := g.write(0, "x")
	require.NoError(t, err)
	require.Equal(t, eBADF, e)
	_, e, err = g.read(1, 1)
	require.NoError(t, err)
	require.Equal(t, eBADF, e)
}

// failing is a writer that takes some bytes and then fails.
type failing struct {
	room int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestWriteErrorsReachTheGuest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		writer  failing
		want    errno
		written uint32
	}{
		"host errno":     {failing{0, &os.PathError{Err: unix.ENOSPC}}, eNOSPC, 0},
		"broken pipe":    {failing{0, unix.EPIPE}, ePIPE, 0},
		"closed":         {failing{0, os.ErrClosed}, eBADF, 0},
		"any other":      {failing{0, errors.New("log is full")}, eIO, 0},
		"after a part":   {failing{3, errors.New("log is full")}, eSUCCESS, 3},
		"unknown number": {failing{0, unix.Errno(9999)}, eIO, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Config{Stdout: &c.writer})
			e, err := g.write(1, "hello")
			require.NoError(t, err)
			require.Equal(t, c.want, e)
			require.Equal(t, c.written, g.u32(out))
		})
	}
}

func TestLimitErrorOfAWriterStopsTheGuest(t *testing.T) {
	t.Parallel()
	limit := &engine.LimitError{What: "result", Unit: "bytes", Limit: 4}
	for room := range 2 {
		g := newGuest(t, Config{Result: &failing{room, limit}})
		_, err := g.write(3, "hello")
		require.Equal(t, limit, err, "after %d bytes", room)
	}
}

func TestReadScattersIntoBuffers(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Stdin: strings.NewReader("abcdef")})
	p := g.alloc(8)
	iovs, n := g.iovecs(p, 0, p, 4, p+4, 4)
	g.ok("fd_read", 0, iovs, n, out)
	require.Equal(t, uint32(4), g.u32(out), "one read of a stream brings one buffer")
	g.ok("fd_read", 0, iovs, n, out)
	require.Equal(t, uint32(2), g.u32(out))
	require.Equal(t, "efcd", string(g.mem[p:p+4]))
	g.ok("fd_read", 0, iovs, n, out)
	require.Equal(t, uint32(0), g.u32(out), "at the end")
}

func TestReadFromAnyReader(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Stdin: iotest.OneByteReader(iotest.DataErrReader(strings.NewReader("abc")))})
	for _, want := range []string{"a", "b", "c", "", ""} {
		text, e, err := g.read(0, 10)
		require.NoError(t, err)
		require.Equal(t, eSUCCESS, e)
		require.Equal(t, want, text)
	}
}

func TestReadErrorReachesTheGuest(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Stdin: iotest.ErrReader(unix.EISDIR)})
	_, e, err := g.read(0, 1)
	require.NoError(t, err)
	require.Equal(t, eISDIR, e)
}

// TestBlockedReadEndsWithContext covers both ways to wait: a goroutine for a
// pipe in the process, and poll for one of the host.
func TestBlockedReadEndsWithContext(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	inProcess, inProcessWriter := io.Pipe()
	defer inProcessWriter.Close()
	for name, stdin := range map[string]io.Reader{"os.Pipe": reader, "io.Pipe": inProcess} {
		ctx, cancel := context.WithCancelCause(t.Context())
		g := newGuest(t, Config{Stdin: stdin})
		g.ctx = ctx
		ended := make(chan error)
		go func() {
			_, _, err := g.read(0, 10)
			ended <- err
		}()
		cancel(errTimeUp)
		require.Equal(t, errTimeUp, <-ended, name)
	}
}

func TestReadWaitsForAPipe(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := newGuest(t, Config{Stdin: reader})
	g.ctx = ctx
	got := make(chan string)
	go func() {
		defer close(got)
		for text := "-"; text != ""; got <- text {
			text, _, _ = g.read(0, 10)
		}
	}()
	_, err = writer.WriteString("hello")
	require.NoError(t, err)
	require.Equal(t, "hello", <-got)
	require.NoError(t, writer.Close())
	require.Empty(t, <-got, "at the end")
}

func TestNonblockingReadOfNothing(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	g := newGuest(t, Config{Stdin: reader})
	g.ok("fd_fdstat_set_flags", 0, uint64(flagNonblock))
	_, e, err := g.read(0, 1)
	require.NoError(t, err)
	require.Equal(t, eAGAIN, e)
	_, err = writer.WriteString("x")
	require.NoError(t, err)
	text, _, _ := g.read(0, 1)
	require.Equal(t, "x", text)
}

func TestPumpKeepsWhatTheGuestDidNotWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		g := newGuest(t, Config{Stdin: reader})
		g.ok("fd_fdstat_set_flags", 0, uint64(flagNonblock))
		_, e, err := g.read(0, 1)
		require.NoError(t, err)
		require.Equal(t, eAGAIN, e)
		go func() {
			defer writer.Close()
			_, _ = io.WriteString(writer, "late")
		}()
		synctest.Wait()
		text, _, _ := g.read(0, 10)
		require.Equal(t, "late", text)
	})
}

// TestHostileBuffers gives arrays of buffers that must not be used.
func TestHostileBuffers(t *testing.T) {
	t.Parallel()
	const huge = 1<<32 - 1
	for name, words := range map[string][]uint32{
		"beyond the end":  {engine.PageSize, 1},
		"across the end":  {engine.PageSize - 1, 2},
		"length overflow": {huge, huge},
		"null and huge":   {0, huge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			g := newGuest(t, Config{Stdout: &stdout, Stdin: strings.NewReader("input")})
			iovs, n := g.iovecs(words...)
			g.gives(eFAULT, "fd_write", 1, iovs, n, out)
			g.gives(eFAULT, "fd_read", 0, iovs, n, out)
			require.Empty(t, stdout.String())
		})
	}
}

func TestHostileArraysOfBuffers(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	g := newGuest(t, Config{Stdout: &stdout, Stdin: strings.NewReader("input")})
	p, length := g.put("text")
	iovs, _ := g.iovecs(uint32(p), uint32(length))
	for _, name := range []string{"fd_write", "fd_read"} {
		fd := uint64(1)
		if name == "fd_read" {
			fd = 0
		}
		g.gives(eINVAL, name, fd, iovs, maxBuffers+1, out)
		g.gives(eINVAL, name, fd, iovs, 1<<32-1, out)
		g.gives(eFAULT, name, fd, uint64(len(g.mem)-7), 1, out)
		g.gives(eFAULT, name, fd, 1<<32-8, 1000, out)
		g.gives(eFAULT, name, fd, iovs, 1, uint64(len(g.mem)-3))
		g.gives(eBADF, name, 1<<32-1, iovs, 1, out)
		g.ok(name, fd, iovs, 0, out)
	}
	require.Empty(t, stdout.String(), "written in spite of a bad result pointer")
}

func TestOverlappingBuffersAreBoundedByMemory(t *testing.T) {
	t.Parallel()
	written := &counter{}
	g := newGuest(t, Config{Stdout: written})
	words := make([]uint32, 2*maxBuffers)
	for i := range maxBuffers {
		words[2*i+1] = uint32(len(g.mem))
	}
	iovs, n := g.iovecs(words...)
	g.ok("fd_write", 1, iovs, n, out)
	require.Equal(t, uint32(len(g.mem)), g.u32(out))
	require.Equal(t, len(g.mem), written.bytes)
}

type counter struct{ bytes int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}

// TestReadOverItsOwnBuffers lets a read change the array that it works from.
func TestReadOverItsOwnBuffers(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": strings.Repeat("\xff", 100)})
	g := rooted(t, dir, ReadOnly)
	fd := g.opened(root, "f", toRead)
	at := g.alloc(16)
	iovs, n := g.iovecs(g.used, 16, at, 16)
	g.ok("fd_read", uint64(fd), iovs, n, out)
	require.Equal(t, uint32(16), g.u32(out), "the second buffer has become bad")
}

func TestKindsOfStreams(t *testing.T) {
	t.Parallel()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there are no terminals here: ", err)
	}
	defer terminal.Close()
	g := newGuest(t, Config{Stdin: null, Stdout: new(bytes.Buffer), Stderr: terminal})
	at := g.alloc(sizeFdstat)
	for fd, want := range map[uint64]kind{0: kindUnknown, 1: kindUnknown, 2: kindCharacter} {
		g.ok("fd_fdstat_get", fd, uint64(at))
		require.Equal(t, want, kind(g.mem[at]), "fd_fdstat_get(%d)", fd)
		stat := g.alloc(sizeFilestat)
		g.ok("fd_filestat_get", fd, uint64(stat))
		require.Equal(t, filestat{kind: want}, g.filestat(stat), "fd_filestat_get(%d)", fd)
	}
}

func TestStreamsAreNotFiles(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	iovs, n := g.iovecs(0, 1)
	for fd := range uint64(3) {
		g.gives(eSPIPE, "fd_seek", fd, 0, 0, out)
		g.gives(eSPIPE, "fd_tell", fd, out)
		g.gives(eSPIPE, "fd_pread", fd, iovs, n, 0, out)
		g.gives(eSPIPE, "fd_pwrite", fd, iovs, n, 0, out)
		g.gives(eSPIPE, "fd_allocate", fd, 0, 1)
		g.gives(eINVAL, "fd_sync", fd)
		g.gives(eNOTDIR, "fd_readdir", fd, 0, 0, 0, out)
		g.on(eNOTDIR, "path_create_directory", uint32(fd), "d")
		g.gives(eNOTCAPABLE, "fd_filestat_set_times", fd, 0, 0, 0)
	}
}

func TestReadSurvivesATimeout(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	ready, err := fileSource{reader}.wait(t.Context(), time.Millisecond)
	require.NoError(t, err)
	require.False(t, ready, "wait for an empty pipe")
	_, err = writer.WriteString("x")
	require.NoError(t, err)
	ready, err = fileSource{reader}.wait(t.Context(), forever)
	require.NoError(t, err)
	require.True(t, ready)
}

// TestHold has guests that read or wait come back to the host, which holds them.
func TestHold(t *testing.T) {
	t.Parallel()
	hold := errors.New("hold")
	_, _, err := newGuest(t, Config{Hold: hold, Stdin: strings.NewReader("input")}).read(0, 1)
	require.Equal(t, hold, err)
	_, err = newGuest(t, Config{Hold: hold}).call("fd_read", 0, 0, 0, out)
	require.Equal(t, hold, err)
	_, err = newGuest(t, Config{Hold: hold}).call("poll_oneoff", 0, 0, 1, out)
	require.Equal(t, errWaits, err)
	newGuest(t, Config{Hold: hold}).gives(eBADF, "fd_read", 1, 0, 0, out)
}

// A read into no buffers is how a guest says that it could read now.
func TestReady(t *testing.T) {
	t.Parallel()
	waits := newGuest(t, Config{Stdin: strings.NewReader("input")})
	waits.ok("fd_read", 0, 0, 0, out)
	require.Zero(t, waits.u32(out), "bytes that no buffer takes")
	text, _, err := waits.read(0, 10)
	require.NoError(t, err)
	require.Equal(t, "input", text)

	ready := errors.New("ready")
	_, err = newGuest(t, Config{Ready: ready}).call("fd_read", 0, 0, 0, out)
	require.Equal(t, ready, err)
	_, _, err = newGuest(t, Config{Ready: ready}).read(0, 1)
	require.Equal(t, errNoInput, err)
	newGuest(t, Config{Ready: ready}).gives(eBADF, "fd_read", 1, 0, 0, out)
}
