// Package idle bounds the RAM of guests' memories that were put in order after a use:
// they wait, or have waited, for the next.
package idle

import (
	"cmp"
	"errors"
	"sync/atomic"

	"wasmwhisk/engine"
)

// ErrNoRoom tells that a memory cannot wait, since others do.
var ErrNoRoom = errors.New("idle memories take as much RAM as they may")

// Budget is that of an engine. It is safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// New makes a budget of so many bytes; 0 means [engine.DefaultIdleBytes].
func New(bytes int64) *Budget { return &Budget{limit: cmp.Or(bytes, engine.DefaultIdleBytes)} }

// Share is what a memory counts for. It begins at nothing, and belongs to who uses the
// memory.
type Share struct{ bytes int64 }

// Charge has a memory count for so many bytes. After an error it counts for what it did.
func (b *Budget) Charge(s *Share, bytes int) error {
	more := int64(bytes) - s.bytes
	if more == 0 {
		return nil // as most times: nothing is written that all share
	}
	if b.used.Add(more) > b.limit && more > 0 {
		b.used.Add(-more)
		return ErrNoRoom
	}
	s.bytes = int64(bytes)
	return nil
}

// Release has a memory count for nothing.
func (b *Budget) Release(s *Share) {
	b.used.Add(-s.bytes)
	s.bytes = 0
}
