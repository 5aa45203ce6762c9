package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// host is a server and the connections to it.
type host struct {
	address string
	tls     *tls.Config // nil for plain HTTP

	mu     sync.Mutex
	idle   []*conn // the one used last is the last
	open   map[*conn]struct{}
	closed bool
}

// conn is a connection that one operation at a time uses. Requests are written
// and answers read by the goroutine that has it: the Transport of net/http
// hands both to goroutines of their own, which costs more than all the rest.
type conn struct {
	net.Conn
	in   *bufio.Reader
	used time.Time // when it was put back
}

// warm gives the connection that was idle for the shortest time, or nil.
func (h *host) warm() *conn {
	for c := h.pop(); c != nil; c = h.pop() {
		if c.alive() {
			return c
		}
		h.drop(c)
	}
	return nil
}

func (h *host) pop() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) == 0 {
		return nil
	}
	c := h.idle[len(h.idle)-1]
	h.idle = h.idle[:len(h.idle)-1]
	return c
}

func (h *host) put(c *conn) {
	c.used = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = append(h.idle, c)
}

func (h *host) dial(ctx context.Context) (*conn, error) {
	raw, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, in: bufio.NewReader(raw)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		raw.Close()
		return nil, errClosed
	}
	h.open[c] = struct{}{}
	return c, nil
}

func (h *host) connect(ctx context.Context) (net.Conn, error) {
	if h.tls != nil {
		return (&tls.Dialer{Config: h.tls}).DialContext(ctx, "tcp", h.address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", h.address)
}

func (h *host) drop(c *conn) {
	c.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// close ends what is under way, too.
func (h *host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.open {
		c.Close()
	}
}

// alive tells whether the server has kept a connection that has waited for long
// enough that it may have lost patience. Without looking, the next request would
// fail for no fault of the target's.
func (c *conn) alive() bool {
	return time.Since(c.used) < time.Second || !hungUp(c.Conn)
}

// answer is what came back for a request.
type answer struct {
	status int
	body   []byte // nil unless asked for
	last   bool   // the server closes the connection
}

// exchange sends a request and reads its answer, the body to memory with keep.
func (c *conn) exchange(r *request, keep bool) (answer, error) {
	for _, part := range r.parts {
		if _, err := c.Write(part); err != nil {
			return answer{}, err
		}
	}
	res, err := http.ReadResponse(c.in, r.asks)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := take(res.Body, keep)
	return answer{res.StatusCode, body, res.Close}, err
}

func take(body io.Reader, keep bool) ([]byte, error) {
	if keep {
		return io.ReadAll(body)
	}
	_, err := io.Copy(io.Discard, body)
	return nil, err
}

// succeeded tells whether the status is one of those that were hoped for.
func (r *request) succeeded(status int) bool { return slices.Contains(r.good, status) }
