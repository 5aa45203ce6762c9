// Package bodies receives the bodies of requests: the length that one tells is not
// believed before so much has come, and the large ones share a bounded memory. The
// executor and the REST API use it; how long a body may take is up to them.
//
// Errors are those that callers are answered with, *[whisk.Error].
package bodies

import (
	"errors"
	"io"
	"sync"

	"wasmwhisk/whisk"
)

// trustedBytes is how much of a body is made room for before any of it came.
const trustedBytes = 256 << 10

// Budget bounds the memory that the bodies which are being received take together.
// It is safe for concurrent use.
type Budget struct {
	mu   sync.Mutex
	free int64
}

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{free: bytes} }

// Reserve takes what a body of that length may come to need, which is limit if the
// length is negative: not known. A body above limit is refused. What was taken, 0
// of a small body, is to be given back.
func (b *Budget) Reserve(length, limit int64) (taken int64, err error) {
	if length > limit {
		return 0, whisk.RequestTooLarge(length, limit)
	}
	if length < 0 {
		length = limit
	}
	if length <= trustedBytes {
		return 0, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if length > b.free {
		return 0, whisk.Errorf(whisk.Unavailable, "The server is receiving too much at once.")
	}
	b.free -= length
	return length, nil
}

// Release gives back what Reserve took.
func (b *Budget) Release(taken int64) {
	if taken == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += taken
}

// Read reads a body for whose length and limit there was room. Of one that is large and
// tells its length, begun sees how it begins before the rest has come.
func Read(from io.Reader, length, limit int64, begun func(part []byte)) ([]byte, error) {
	if length < 0 {
		return readUnknown(from, limit)
	}
	body := make([]byte, min(length, trustedBytes))
	got, err := io.ReadFull(from, body)
	if err == nil && length > trustedBytes {
		begun(body)
		body = append(make([]byte, 0, length), body...)[:length]
		_, err = io.ReadFull(from, body[got:])
	}
	return body, Broken(err)
}

func readUnknown(from io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, whisk.RequestTooLarge(0, limit)
	}
	return body, Broken(err)
}

// Broken says that the client, not we, cut a request short: err is that of reading
// it. It is nil if err is.
func Broken(err error) error {
	if err == nil {
		return nil
	}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	if ok && timeout.Timeout() {
		return whisk.Errorf(whisk.BadRequest, "The request did not arrive in time.")
	}
	return whisk.Errorf(whisk.BadRequest, "The request ended before its body was complete.")
}
