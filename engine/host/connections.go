package host

import (
	"context"
	"fmt"
	"net"
	"sync"
)

var errTooManyConnections = fmt.Errorf("more than %d connections open", MaxConnections)

// connections are those of a client.
type connections struct {
	dialer *net.Dialer
	open   chan struct{} // holds one for each
}

func newConnections(d *net.Dialer) *connections {
	return &connections{dialer: d, open: make(chan struct{}, MaxConnections)}
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case c.open <- struct{}{}:
	default:
		return nil, errTooManyConnections
	}
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		<-c.open
		return nil, err
	}
	return &connection{Conn: conn, leave: sync.OnceFunc(func() { <-c.open })}, nil
}

// connection is counted until it is closed.
type connection struct {
	net.Conn
	leave func()
}

func (c *connection) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
