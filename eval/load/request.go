package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
)

// request is a [Request] ready for the wire.
type request struct {
	host  *host
	parts [][]byte // what is sent
	asks  *http.Request
	good  []int
}

// together bounds what is sent with one call: beyond, copying costs more than
// the call.
const together = 32 << 10

// hosts are the connections of a plan, by scheme and address.
type hosts map[string]*host

// operation is an [Operation] ready for the wire.
type operation struct {
	prepare, steps []request

	mu       sync.Mutex // held while preparing
	prepared atomic.Bool
}

// spell turns operations into what is sent, and finds out to whom.
func spell(operations []Operation) ([]*operation, hosts, error) {
	spelled, to := make([]*operation, len(operations)), hosts{}
	for i, op := range operations {
		o, err := to.operation(op)
		if err != nil {
			return nil, nil, fmt.Errorf("operation %d: %w", i, err)
		}
		spelled[i] = o
	}
	return spelled, to, nil
}

func (h hosts) operation(op Operation) (*operation, error) {
	if len(op.Steps) == 0 {
		return nil, errors.New("it has no steps")
	}
	prepare, err := h.requests(op.Prepare)
	if err != nil {
		return nil, err
	}
	steps, err := h.requests(op.Steps)
	if err != nil {
		return nil, err
	}
	o := &operation{prepare: prepare, steps: steps}
	o.prepared.Store(len(prepare) == 0)
	return o, nil
}

func (h hosts) requests(all []Request) ([]request, error) {
	spelled := make([]request, len(all))
	for i, r := range all {
		one, err := h.request(r)
		if err != nil {
			return nil, err
		}
		spelled[i] = *one
	}
	return spelled, nil
}

func (h hosts) request(r Request) (*request, error) {
	asks, err := http.NewRequestWithContext(context.Background(), r.Method, r.URL, nil)
	if err != nil {
		return nil, err
	}
	to, err := h.of(asks.URL)
	if err != nil {
		return nil, err
	}
	return &request{host: to, parts: wire(asks, r), asks: asks, good: success(r.Status)}, nil
}

func success(status []int) []int {
	if len(status) == 0 {
		return []int{http.StatusOK}
	}
	return status
}

// wire spells the request. Values that would break out of their line are
// mended by http.Header.
func wire(asks *http.Request, r Request) [][]byte {
	header := make(http.Header, len(r.Header)+1)
	for name, value := range r.Header {
		header.Set(name, value)
	}
	header.Set("Content-Length", fmt.Sprint(len(r.Body)))
	header.Del("Host")
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", asks.Method, asks.URL.RequestURI(), asks.URL.Host)
	// A buffer takes all.
	_ = header.Write(&head)
	head.WriteString("\r\n")
	if len(r.Body) > together {
		return [][]byte{head.Bytes(), r.Body}
	}
	return [][]byte{append(head.Bytes(), r.Body...)}
}

// of gives the host of a URL, the same for each that has the same.
func (h hosts) of(u *url.URL) (*host, error) {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no http or https URL", u)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	address := net.JoinHostPort(u.Hostname(), port)
	key := u.Scheme + " " + address
	if h[key] == nil {
		h[key] = &host{address: address, open: map[*conn]struct{}{}}
		if u.Scheme == "https" {
			h[key].tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
		}
	}
	return h[key], nil
}

// warm opens connections before the plan begins, n to each host if that is not
// too many. A host that refuses shows it in the samples.
func (h hosts) warm(ctx context.Context, n int) {
	const most = 512
	n = min(n, max(1, most/max(1, len(h))))
	for _, to := range h {
		opened := make([]*conn, 0, n)
		for range n {
			c, err := to.dial(ctx)
			if err != nil {
				break
			}
			opened = append(opened, c)
		}
		for _, c := range slices.Backward(opened) {
			to.put(c)
		}
	}
}

func (h hosts) close() {
	for _, to := range h {
		to.close()
	}
}

var errClosed = errors.New("the plan is over")
