package wasi

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"wasmwhisk/engine"
)

// input is the stream that a guest reads.
type input struct {
	reader io.Reader
	opened source // of reader, once it was needed
}

func (in *input) kind() kind              { return kindOfStream(in.reader) }
func (in *input) stat() (filestat, error) { return filestat{kind: in.kind()}, nil }
func (in *input) close() error            { return nil }

// source is a reader that tells when it would block.
type source interface {
	io.Reader

	// wait returns true as soon as Read would not block, and false after d. A
	// negative d is without end. A stop ends it with ctx.
	wait(ctx context.Context, d time.Duration) (bool, error)

	// buffered is how many bytes are known to be there.
	buffered() int
}

func (in *input) source() source {
	if in.opened == nil {
		in.opened = newSource(in.reader)
	}
	return in.opened
}

func newSource(r io.Reader) source {
	switch r := r.(type) {
	case nil:
		return memory{strings.NewReader("")}
	case *os.File:
		return fileSource{r}
	case lenReader:
		return memory{r}
	default:
		return &pump{reader: r}
	}
}

// read gives some bytes, and none at the end.
func (in *input) read(ctx context.Context, p []byte, flags fdflags) (int, error) {
	src, patience := in.source(), forever
	if flags&flagNonblock != 0 {
		patience = 0
	}
	ready, err := src.wait(ctx, patience)
	if err != nil {
		return 0, err
	}
	if !ready {
		return 0, eAGAIN
	}
	return ended(src.Read(p))
}

// ended turns the end of a file into a read of nothing.
func ended(n int, err error) (int, error) {
	if n > 0 || errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

// lenReader is a reader with all its bytes in memory.
type lenReader interface {
	io.Reader
	Len() int
}

type memory struct{ lenReader }

func (memory) wait(context.Context, time.Duration) (bool, error) { return true, nil }
func (m memory) buffered() int                                   { return m.Len() }

// pump reads ahead of the guest from a reader that cannot be asked whether it
// would block.
type pump struct {
	reader  io.Reader
	pending chan chunk // of the read under way, nil if there is none
	chunk   chunk
}

// chunk is what one read brought.
type chunk struct {
	bytes []byte
	err   error
}

func (p *pump) wait(ctx context.Context, d time.Duration) (bool, error) {
	if p.chunk.err != nil || len(p.chunk.bytes) > 0 {
		return true, nil
	}
	if p.pending == nil {
		p.pending = make(chan chunk, 1)
		go fetch(p.reader, p.pending)
	}
	select { // before the timer, which may have expired at once
	case p.chunk = <-p.pending:
		p.pending = nil
		return true, nil
	default:
	}
	expired, release := after(d)
	defer release()
	select {
	case p.chunk = <-p.pending:
		p.pending = nil
		return true, nil
	case <-expired:
		return false, nil
	case <-ctx.Done():
		return false, interrupted(ctx)
	}
}

func fetch(r io.Reader, done chan<- chunk) {
	b := make([]byte, 4096)
	n, err := r.Read(b)
	for n == 0 && err == nil {
		n, err = r.Read(b)
	}
	done <- chunk{b[:n], err}
}

func (p *pump) Read(b []byte) (int, error) {
	n := copy(b, p.chunk.bytes)
	p.chunk.bytes = p.chunk.bytes[n:]
	if n > 0 {
		return n, nil
	}
	return 0, p.chunk.err
}

func (p *pump) buffered() int { return len(p.chunk.bytes) }

// output is a stream that a guest writes.
type output struct{ writer io.Writer }

func (out *output) kind() kind              { return kindOfStream(out.writer) }
func (out *output) stat() (filestat, error) { return filestat{kind: out.kind()}, nil }
func (out *output) close() error            { return nil }

func (out *output) write(p []byte) (int, error) {
	if out.writer == nil {
		return len(p), nil
	}
	n, err := out.writer.Write(p)
	if limit, ok := errors.AsType[*engine.LimitError](err); ok {
		return n, &stop{limit}
	}
	return n, err
}
