package executor

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"

	"wasmwhisk/internal/bodies"
	"wasmwhisk/whisk"
)

// loopBytes is room for one request, head and body, about what net/http takes for
// the buffers of a connection.
const loopBytes = 8 << 10

// loop serves the activations that come over one connection, for as long as each
// request is of the plainest form and small.
type loop struct {
	e       *Executor
	front   activator
	conn    net.Conn
	lookout *lookout
	closing *atomic.Bool // the server is
	state   atomic.Int32

	buffer *[loopBytes]byte
	in     []byte // what the buffer begins with: read and not served
	out    []byte // for answers
}

// The states of a loop. Only what is idle is closed; what has begun is answered.
const (
	loopIdle int32 = iota
	loopBusy
	loopClosed
)

// serve ends with the connection, or with the first request that is net/http's.
// Then it gives what was read of that.
func (l *loop) serve(ctx context.Context) (rest []byte, more bool) {
	ctx, hungUp := context.WithCancel(ctx)
	defer hungUp()
	l.lookout = newLookout(l.conn, hungUp)
	defer l.lookout.close()
	for waits := l.first; waits(); waits = l.next {
		h, ok := readHead(l.in)
		id, activation := l.front.activationAt(h.path)
		if !ok || !activation || h.size+h.length > loopBytes {
			return l.in, true
		}
		if !l.exchange(ctx, id, h) {
			break
		}
	}
	return nil, false
}

func (l *loop) first() bool { return !l.closing.Load() && l.await(1, l.e.config.HTTP.Header) }

// startBytes is how much must have come for a further request to have begun, and
// how many line ends before it are none of its own: old clients send some after a
// body. net/http has it so.
const startBytes = 4

func (l *loop) next() bool {
	l.state.Store(loopIdle)
	if l.closing.Load() || !l.await(startBytes, l.e.config.HTTP.Idle) {
		return false
	}
	start := bytes.TrimLeft(l.in[:startBytes], "\r\n")
	l.keep(l.in[startBytes-len(start):])
	return true
}

// await reads until there are so many bytes.
func (l *loop) await(bytes int, limit time.Duration) bool {
	return l.fill(bytes, limit) == nil && l.state.CompareAndSwap(loopIdle, loopBusy)
}

func (l *loop) fill(bytes int, limit time.Duration) error {
	if len(l.in) >= bytes {
		return nil
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	n, err := io.ReadAtLeast(l.conn, l.buffer[len(l.in):], bytes-len(l.in))
	l.in = l.buffer[:len(l.in)+n]
	return err
}

// keep leaves only rest in the buffer.
func (l *loop) keep(rest []byte) { l.in = l.buffer[:copy(l.buffer[:], rest)] }

// exchange answers a request, and tells whether another may follow.
func (l *loop) exchange(ctx context.Context, id string, h head) bool {
	r := l.activation(ctx, id, h)
	if !r.last { // whatever came of it, its body does not begin another
		r.last = l.receive(h) != nil || l.closing.Load()
	}
	if err := l.write(&r); err != nil || r.last {
		return false
	}
	l.keep(l.in[h.size+h.length:])
	l.in = append(l.in, r.ahead...)
	return true
}

// receive reads all of a request.
func (l *loop) receive(h head) error {
	return l.fill(h.size+h.length, l.e.config.HTTP.Body)
}

// activation has a container serve a request.
func (l *loop) activation(ctx context.Context, id string, h head) (r response) {
	defer func() {
		if p := recover(); p != nil {
			l.e.logPanic(h.path, p)
			r = response{refused: &whisk.Error{Kind: whisk.Internal, Message: textInternal}, ahead: r.ahead}
		}
	}()
	err := l.front.activate(ctx, id, func(ctx context.Context, ct *container) (err error) {
		if err := l.receive(h); err != nil {
			r.last = true
			return bodies.Broken(err)
		}
		l.lookout.begin()
		defer func() { r.ahead = l.lookout.end() }()
		r.result, err = l.e.activate(ctx, ct, &r.timings, func() (runRequest, error) {
			return decodeRun(l.in[h.size : h.size+h.length])
		})
		return err
	})
	if err != nil {
		r.refused = l.e.refusal(ctx, h.path, err)
		r.last = r.last || r.refused.Kind == whisk.Unavailable
	}
	return r
}

// write sends an answer, in one piece unless that would mean to copy much.
func (l *loop) write(r *response) error {
	body := r.body()
	l.out = r.appendHead(l.out[:0], len(body))
	if len(body) <= loopBytes {
		l.out = append(l.out, body...)
		body = nil
	}
	_, err := l.conn.Write(l.out)
	if err == nil && body != nil {
		_, err = l.conn.Write(body)
	}
	return err
}
