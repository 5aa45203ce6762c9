package executor

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// limitedListener has connections wait once there are as many as slots holds.
// The slots are shared by all listeners; a connection takes one after it was
// accepted, so that a listener that waits for clients holds none.
type limitedListener struct {
	net.Listener
	slots  chan struct{}
	write  time.Duration // for a client to take what is written
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
		return &limitedConn{Conn: conn, slots: l.slots, timeout: l.write}, nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its slot back when it is closed, and gives up on a client
// that takes too long to read.
//
// Deadlines are set several times for each request, nearly always to be lifted
// in time, and each costs a timer of the runtime's. So a deadline that the
// connection has already is left in place where it is not too late: a read that
// ends for one that was lifted goes on.
type limitedConn struct {
	net.Conn
	slots   chan struct{}
	once    sync.Once
	timeout time.Duration // for what is written
	writeBy time.Time     // what the connection has; its one writer's

	mu     sync.Mutex
	readBy time.Time // what was asked for
	armed  time.Time // what the connection has, never later than that
}

// Write gives its client the timeout at least, and twice that at most.
func (c *limitedConn) Write(p []byte) (int, error) {
	if time.Until(c.writeBy) < c.timeout {
		c.writeBy = time.Now().Add(2 * c.timeout)
		if err := c.Conn.SetWriteDeadline(c.writeBy); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline does nothing: writing has a bound of its own.
func (c *limitedConn) SetWriteDeadline(time.Time) error { return nil }

func (c *limitedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.late() {
			return n, err
		}
	}
}

// late tells whether the deadline that was asked for has passed. If not, the
// connection has it from then on.
func (c *limitedConn) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := !c.readBy.IsZero() && time.Until(c.readBy) <= 0
	return passed || c.armLocked(c.readBy) != nil
}

func (c *limitedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	if c.comesFirstLocked(t) {
		return nil
	}
	return c.armLocked(t)
}

// comesFirstLocked tells whether the deadline that the connection has is not later
// than t, where zero is later than all. It does not matter that it has passed
// already, and finding out would cost a look at the clock.
func (c *limitedConn) comesFirstLocked(t time.Time) bool {
	if c.armed.IsZero() {
		return t.IsZero()
	}
	return t.IsZero() || !t.Before(c.armed)
}

func (c *limitedConn) armLocked(t time.Time) error {
	c.armed = t
	return c.Conn.SetReadDeadline(t)
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}
