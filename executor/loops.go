package executor

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// loops are the connections of a listener that net/http has not seen. It is itself
// a listener, of those that net/http has to serve.
type loops struct {
	*limitedListener
	e      *Executor
	front  activator
	handed chan net.Conn

	inside  *gate // one for each loop
	closing atomic.Bool

	mu   sync.Mutex
	open map[*loop]struct{}
}

func newLoops(e *Executor, front activator, listener *limitedListener) *loops {
	return &loops{
		limitedListener: listener, e: e, front: front,
		handed: make(chan net.Conn), inside: newGate(), open: map[*loop]struct{}{},
	}
}

// Accept waits for a connection that a loop hands over.
func (l *loops) Accept() (net.Conn, error) {
	select {
	case conn := <-l.handed:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// hand makes a connection net/http's. What was read of it comes first.
func (l *loops) hand(conn net.Conn, rest []byte) {
	select {
	case l.handed <- &handedConn{Conn: conn, rest: slices.Clone(rest)}:
	case <-l.closed:
		_ = conn.Close()
	}
}

// handedConn is a connection of which something was read before.
type handedConn struct {
	net.Conn
	rest []byte
}

func (c *handedConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// acceptRetry is how long to wait after an error that more connections may not
// have: there are no descriptors, as a rule.
const acceptRetry = 50 * time.Millisecond

// accept starts a loop for each connection, until the listener is closed.
func (l *loops) accept(ctx context.Context) {
	for {
		conn, err := l.limitedListener.Accept()
		switch {
		case err == nil:
			l.e.background.Go(func() { l.serve(ctx, conn) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			l.e.config.Logger.Error("accepting failed", "address", l.Addr().String(), "error", err)
			l.pause(acceptRetry)
		}
	}
}

func (l *loops) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.closed:
	}
}

// serve runs the loop of a connection.
func (l *loops) serve(ctx context.Context, conn net.Conn) {
	if !l.inside.enter() {
		_ = conn.Close()
		return
	}
	defer l.inside.leave()
	buffer := l.e.buffers.Get().(*[loopBytes]byte)
	defer l.e.buffers.Put(buffer)
	c := &loop{e: l.e, front: l.front, conn: conn, closing: &l.closing, buffer: buffer}
	l.add(c)
	rest, more := c.serve(ctx)
	l.remove(c)
	if !more {
		_ = conn.Close()
		return
	}
	l.hand(conn, rest)
}

func (l *loops) add(c *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
}

func (l *loops) remove(c *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// shut closes the connections that wait for requests, and has the others end with
// the next answer. The channel is closed when all have.
func (l *loops) shut() <-chan struct{} {
	ended := l.inside.close()
	l.closing.Store(true)
	l.each(func(c *loop) {
		if c.state.CompareAndSwap(loopIdle, loopClosed) {
			_ = c.conn.Close()
		}
	})
	return ended
}

// shutdown lets what is being served end, at most until ctx is done.
func (l *loops) shutdown(ctx context.Context) error {
	if l == nil {
		return nil
	}
	select {
	case <-l.shut():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abort closes all connections.
func (l *loops) abort() {
	if l == nil {
		return
	}
	l.shut()
	l.each(func(c *loop) { _ = c.conn.Close() })
}

func (l *loops) each(do func(*loop)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		do(c)
	}
}
