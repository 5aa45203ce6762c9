package wazero

import (
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

// linearMemory lets wazero use a slot as the memory of one instance, and is
// where the limit of that instance is kept: wazero's own belongs to a whole
// runtime.
type linearMemory struct {
	slot  *slot
	start int // bytes that it has at first
	limit int // bytes that it may grow to, no more than the slot has
	size  int // bytes that it has now

	shrinking bool // the next size is that of the start
}

// bytes is the whole memory as it is now, nil if there is none.
func (l *linearMemory) bytes() []byte {
	if l.slot == nil {
		return nil
	}
	return l.slot.base[:l.size:l.size]
}

// Allocate implements experimental.MemoryAllocator for the one memory that a
// module of ours can have.
func (l *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return l }

// Reallocate may give more than it is asked for at first: an instance that
// starts from a snapshot has the memory that was captured.
func (l *linearMemory) Reallocate(size uint64) []byte {
	if l.shrinking {
		l.size = l.start
		return l.bytes()
	}
	if size > uint64(l.limit) {
		return nil
	}
	l.size = max(int(size), l.start)
	l.slot.used = max(l.slot.used, l.size)
	return l.bytes()
}

// Free does nothing: whoever closes an instance puts its slot back, after the
// last call. wazero frees while a guest may still run.
func (l *linearMemory) Free() {}

// maxPages is the most pages that an instance may have.
func maxPages(limits engine.Limits) uint32 {
	if limits.MemoryPages == 0 || limits.MemoryPages > engine.MaxPages {
		return engine.MaxPages
	}
	return limits.MemoryPages
}
