//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"wasmwhisk/engines/internal/kept"
)

// slotBytes is what a memory needs to have reserved: compiled code checks no
// bounds, whatever 32 bits and an offset can reach must fault.
const slotBytes = C.WW_RESERVED + C.WW_GUARD

// A slot is room for one linear memory. It is reserved once and used again and
// again, since mapping takes a lock of the whole process, and makes every page
// fault anew.
type slot struct {
	all      []byte // all that is reserved
	start    int    // bytes that are accessible while nobody uses it
	resident int    // bytes that are kept in RAM, an estimate
	share    kept.Share
}

// size is how much of a slot is accessible while nobody uses it.
func (sl *slot) size() int {
	if sl == nil {
		return 0
	}
	return sl.start
}

// memories gives out slots that hold the same contents at first, and are as
// large. A slot that comes back is put in order before it is kept, so that
// whoever gets it finds nothing of the last one. It is safe for concurrent use.
type memories struct {
	make   func() (*contents, error)
	budget *budget

	mu       sync.Mutex
	contents *contents // nil until the first slot is asked for
	free     []*slot
	users    int // slots that are out
	closed   bool
}

// newMemories has contents made when they are first needed: by then it was seen
// that a memory is not larger than it may be.
func newMemories(b *budget, contents func() (*contents, error)) *memories {
	return &memories{make: contents, budget: b}
}

// get gives a slot with so many accessible bytes, always as many.
func (m *memories) get(size int) (*slot, error) {
	sl, err := m.enter()
	if sl != nil || err != nil {
		return sl, err
	}
	if sl, err = m.reserve(size); err != nil {
		m.leave()
	}
	return sl, err
}

// enter counts a user and gives a slot that was kept, if there is one.
func (m *memories) enter() (_ *slot, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed
	}
	if m.contents == nil {
		if m.contents, err = m.make(); err != nil {
			return nil, err
		}
	}
	m.users++
	last := len(m.free) - 1
	if last < 0 {
		return nil, nil
	}
	sl := m.free[last]
	m.free = m.free[:last]
	return sl, nil
}

// reserve maps addresses that take no RAM until they are written, and makes size
// bytes of them accessible.
func (m *memories) reserve(size int) (_ *slot, err error) {
	if !m.budget.reserve() {
		return nil, errTooMany
	}
	all, err := unix.Mmap(-1, 0, slotBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		m.budget.unreserve()
		return nil, fmt.Errorf("reserve a memory: %w", err)
	}
	// A huge page would make one written byte two megabytes to put back. Kernels
	// without huge pages refuse the advice.
	_ = unix.Madvise(all, unix.MADV_NOHUGEPAGE)
	sl := &slot{all: all, start: size}
	if err := m.contents.fill(sl); err != nil {
		m.unreserve(sl)
		return nil, err
	}
	return sl, nil
}

// unreserve cannot fail for what reserve gave.
func (m *memories) unreserve(sl *slot) {
	m.budget.Release(&sl.share)
	_ = unix.Munmap(sl.all)
	m.budget.unreserve()
}

// put takes a slot back that no guest uses any more, and that has come to have
// so many accessible bytes.
func (m *memories) put(sl *slot, size int) {
	if m.contents.restore(sl, size) != nil || shrink(sl, size) != nil || !m.keep(sl) {
		m.unreserve(sl)
	}
	m.leave()
}

// reset puts a slot in order that its guest keeps.
func (m *memories) reset(sl *slot, size int) error {
	if err := m.contents.restore(sl, size); err != nil {
		return err
	}
	return m.budget.charge(sl)
}

func shrink(sl *slot, size int) error {
	if size == sl.start {
		return nil
	}
	if err := unix.Madvise(sl.all[sl.start:size], unix.MADV_DONTNEED); err != nil {
		return err
	}
	return unix.Mprotect(sl.all[sl.start:size], unix.PROT_NONE)
}

func (m *memories) keep(sl *slot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.budget.charge(sl) != nil {
		return false
	}
	m.free = append(m.free, sl)
	return true
}

// leave counts a user out. The last one closes the contents behind it: until
// then slots may have to be restored from them.
func (m *memories) leave() {
	m.mu.Lock()
	m.users--
	last := m.closed && m.users == 0 && m.contents != nil
	m.mu.Unlock()
	if last {
		m.contents.close()
	}
}

// close gives back what is kept. Slots that are out come back as they are done.
func (m *memories) close() {
	m.mu.Lock()
	first := !m.closed
	kept := m.free
	m.free, m.closed = nil, true
	last := first && m.users == 0 && m.contents != nil
	m.mu.Unlock()
	for _, sl := range kept {
		m.unreserve(sl)
	}
	if last {
		m.contents.close()
	}
}

// maxSlots bounds the memories of an engine: each takes three of the 65,530
// mappings that a process may have, and 4 GiB of its 128 TiB of addresses.
const maxSlots = 16_000

var errTooMany = errors.New("too many instances for the address space")

// budget bounds the slots of an engine, and the RAM of those that wait.
type budget struct {
	*kept.Budget
	slots atomic.Int64
}

// slotCharge is what a slot that waits counts for beside its RAM: of mappings there
// are few, too.
const slotCharge = 64 << 10

func (b *budget) charge(sl *slot) error { return b.Charge(&sl.share, sl.resident+slotCharge) }

func (b *budget) reserve() bool {
	if b.slots.Add(1) > maxSlots {
		b.slots.Add(-1)
		return false
	}
	return true
}

func (b *budget) unreserve() { b.slots.Add(-1) }
