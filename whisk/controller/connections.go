package controller

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// connections is a listener that has connections wait once there are too many.
// It says so, and why none is accepted: whoever waits for either sees nothing but
// that no answer comes.
type connections struct {
	net.Listener
	logger *slog.Logger
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
	told   time.Time // by the one goroutine that accepts
}

// tellEvery is how often the log has that connections wait.
const tellEvery = time.Minute

func limitConnections(l net.Listener, most int, logger *slog.Logger) net.Listener {
	return &connections{Listener: l, logger: logger, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

func (l *connections) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		if !errors.Is(err, net.ErrClosed) && l.tells() {
			l.logger.Warn("connections are not accepted", slog.Any("error", err))
		}
		return nil, err
	}
	if len(l.slots) == cap(l.slots) && l.tells() {
		l.logger.Warn("connections wait", slog.Int("served", cap(l.slots)))
	}
	select {
	case l.slots <- struct{}{}:
		return &connection{Conn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
}

// tells is whether it is time to say what is wrong.
func (l *connections) tells() bool {
	now := time.Now()
	if now.Sub(l.told) < tellEvery {
		return false
	}
	l.told = now
	return true
}

func (l *connections) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connection gives its slot back when it is closed.
type connection struct {
	net.Conn
	release func()
}

func (c *connection) Close() error {
	defer c.release()
	return c.Conn.Close()
}
