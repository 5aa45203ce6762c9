package executor

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"wasmwhisk/whisk"
)

// trustedBytes is how much of a body is made room for before any of it came.
const trustedBytes = 256 << 10

// uploads bounds the memory that the bodies being received take together.
type uploads struct {
	mu   sync.Mutex
	free int64
}

func (u *uploads) take(n int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > u.free {
		return false
	}
	u.free -= n
	return true
}

func (u *uploads) give(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.free += n
}

// smallBytes is up to where bodies are read into memory that is used again.
const smallBytes = 16 << 10

// receiver reads request bodies within limits. Their time is the server's doing.
type receiver struct {
	uploads *uploads
	small   sync.Pool // of *[smallBytes]byte
}

func newReceiver(bytes int64) *receiver {
	return &receiver{
		uploads: &uploads{free: bytes},
		small:   sync.Pool{New: func() any { return new([smallBytes]byte) }},
	}
}

// received is a body. It must be freed when nothing refers to it any more.
type received struct {
	body  []byte
	from  *receiver
	taken int64             // of the uploads
	small *[smallBytes]byte // that the body lies in, or nil
}

func (b received) free() {
	if b.taken > 0 {
		b.from.uploads.give(b.taken)
	}
	if b.small != nil {
		b.from.small.Put(b.small)
	}
}

// receive reads a body of at most limit bytes.
func (r *receiver) receive(req *http.Request, limit int64) (b received, err error) {
	if req.ContentLength > limit {
		return b, tooLarge(req.ContentLength, limit)
	}
	if b, err = r.room(req.ContentLength, limit); err != nil {
		return b, err
	}
	if b.small != nil {
		b.body = b.small[:req.ContentLength]
		_, err = io.ReadFull(req.Body, b.body)
	} else {
		b.body, err = readAll(req.Body, req.ContentLength, limit)
	}
	if err != nil {
		b.free()
		return b, brokenBody(err)
	}
	return b, nil
}

// room is what there is for a body of n bytes, or of at most limit if n is
// negative.
func (r *receiver) room(n, limit int64) (received, error) {
	if n >= 0 && n <= smallBytes {
		return received{from: r, small: r.small.Get().(*[smallBytes]byte)}, nil
	}
	if n < 0 {
		n = limit
	}
	if n <= trustedBytes {
		return received{from: r}, nil
	}
	if !r.uploads.take(n) {
		return received{}, &whisk.Error{Kind: whisk.Unavailable, Message: "The executor is receiving too much at once."}
	}
	return received{from: r, taken: n}, nil
}

// readAll reads a body of n bytes, or of unknown length if n is negative. The
// length is believed up to trustedBytes, and beyond once those have come.
func readAll(from io.Reader, n, limit int64) ([]byte, error) {
	if n < 0 {
		return readUnknown(from, limit)
	}
	body := make([]byte, min(n, trustedBytes))
	got, err := io.ReadFull(from, body)
	if err == nil && n > trustedBytes {
		body = append(make([]byte, 0, n), body...)[:n]
		_, err = io.ReadFull(from, body[got:])
	}
	return body, err
}

func readUnknown(from io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = tooLarge(0, limit)
	}
	return body, err
}

// brokenBody says that the client, not we, cut a request short.
func brokenBody(err error) error {
	if refused, ok := errors.AsType[*whisk.Error](err); ok {
		return refused
	}
	message := "The request ended before its body was complete."
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		message = "The request did not arrive in time."
	}
	return &whisk.Error{Kind: whisk.BadRequest, Message: message}
}

func tooLarge(n, limit int64) error {
	return &whisk.Error{Kind: whisk.TooLarge, Message: whisk.TextRequestTooLarge(n, limit)}
}
