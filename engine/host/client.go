package host

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// The bounds of outbound requests.
const (
	MaxOpen          = 16        // exchanges a guest has open at once
	MaxRequestBytes  = 64 << 10  // JSON that describes a request
	MaxBodyBytes     = 8 << 20   // body of a request
	MaxHeaderValues  = 100       // header values of a request
	MaxHeadBytes     = 256 << 10 // header of a response, as sent
	MaxResponseBytes = 32 << 20  // body of a response
	MaxRedirects     = 5
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 30 * time.Second
	maxIdle          = 16
)

// MaxConnections bounds those of a client, with those that are being made: package http
// goes on with what nobody waits for any more.
const MaxConnections = 512

// Client sends guests' requests under one policy. It is safe for concurrent
// use by any number of systems.
//
// It keeps idle connections for reuse, so its owner makes one for each party
// whose requests may share a connection: one per container, that is one action
// of one namespace. A connection carries no state of ours, since there are no
// cookies, no credentials but those in a request, and no proxy.
type Client struct {
	policy Policy
	rules  *rules
	http   *http.Client
}

// NewClient makes a client. Its owner closes it.
func NewClient(p Policy) (*Client, error) { return newClient(p, net.DefaultResolver) }

func newClient(p Policy, resolver *net.Resolver) (*Client, error) {
	r, err := p.compile()
	if err != nil {
		return nil, fmt.Errorf("network policy: %w", err)
	}
	dialer := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: resolver,
		// Here the address is the one that is connected to, whatever a name
		// resolved to before.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return r.checkAddr(address)
		},
	}
	return &Client{
		policy: p,
		rules:  r,
		http: &http.Client{
			Transport:     newTransport(newConnections(dialer).dial),
			CheckRedirect: r.checkRedirect,
		},
	}, nil
}

// Policy is what the client was made with, for one like it elsewhere. It must not
// be changed.
func (c *Client) Policy() Policy { return c.policy }

// newTransport takes no proxy from the environment.
func newTransport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxResponseHeaderBytes: MaxHeadBytes,
		// A guest that wants compressed bodies asks for them and unpacks them
		// itself, in its own memory.
		DisableCompression: true,
	}
}

// Close drops the idle connections. Exchanges under way end with the systems
// that opened them.
func (c *Client) Close() { c.http.CloseIdleConnections() }
