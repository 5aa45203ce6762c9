// Package kept bounds the RAM of what engines keep for later: memories that were put in
// order after a use, and snapshots.
package kept

import (
	"errors"
	"sync/atomic"
)

// ErrNoRoom tells that one thing more cannot be kept.
var ErrNoRoom = errors.New("others of its kind take as much RAM as they may")

// Budget is that of an engine for one kind of thing. It is safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// New makes a budget of so many bytes.
func New(bytes int64) *Budget { return &Budget{limit: bytes} }

// Share is what one of them counts for. It begins at nothing, and belongs to who uses
// that.
type Share struct{ bytes int64 }

// Charge has one of them count for so many bytes. After an error it counts for what it did.
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

// Release has it count for nothing.
func (b *Budget) Release(s *Share) {
	b.used.Add(-s.bytes)
	s.bytes = 0
}
