package wazero

import (
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

// memoryBudget bounds the memory of one instance. wazero's own limit belongs to
// a whole runtime; an allocator is asked for every instance.
type memoryBudget struct {
	limit   uint64 // bytes
	refused uint64 // what the module wanted at once, if that was too much
}

func newMemoryBudget(limits engine.Limits) *memoryBudget {
	pages := limits.MemoryPages
	if pages == 0 || pages > engine.MaxPages {
		pages = engine.MaxPages
	}
	return &memoryBudget{limit: uint64(pages) * engine.PageSize}
}

func (m *memoryBudget) Allocate(_, _ uint64) experimental.LinearMemory {
	return &linearMemory{budget: m}
}

// recoverRefusal turns the panic with which wazero meets a refused initial
// memory into a [engine.LimitError]. Any other panic goes on.
func (m *memoryBudget) recoverRefusal(err *error) {
	if m.refused == 0 {
		return
	}
	_ = recover()
	*err = &engine.LimitError{
		What: "memory", Unit: "pages",
		Limit: m.limit / engine.PageSize, Wanted: m.refused / engine.PageSize,
	}
}

// linearMemory is one memory on the Go heap.
type linearMemory struct {
	budget *memoryBudget
	bytes  []byte
}

func (l *linearMemory) Reallocate(size uint64) []byte {
	if size > l.budget.limit {
		if l.bytes == nil {
			l.budget.refused = size
		}
		return nil
	}
	if size > uint64(cap(l.bytes)) {
		l.grow(size)
	}
	l.bytes = l.bytes[:size]
	return l.bytes
}

// grow at least doubles the room, so that a guest which grows page by page
// copies its memory a few times only.
func (l *linearMemory) grow(size uint64) {
	room := size
	if l.bytes != nil {
		room = min(max(size, 2*uint64(cap(l.bytes))), l.budget.limit)
	}
	grown := make([]byte, len(l.bytes), room)
	copy(grown, l.bytes)
	l.bytes = grown
}

func (l *linearMemory) Free() { l.bytes = nil }
