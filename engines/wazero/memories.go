package wazero

import (
	"errors"
	"sync"

	"wasmwhisk/engines/internal/kept"
)

// A slot is room for one linear memory, outside the Go heap: the collector
// neither scans nor counts it. It is reserved once and used again and again,
// since mapping takes a lock of the whole process, and makes every page fault
// anew.
type slot struct {
	base     []byte // all that is reserved
	used     int    // bytes from the start on that may differ from the contents
	resident int    // bytes that are kept in RAM, an estimate
	share    kept.Share
}

// memories gives out slots that hold the same contents at first. A slot that
// comes back is put in order before it is kept, so that whoever gets it finds
// nothing of the last one. It is safe for concurrent use.
type memories struct {
	make   func() (*contents, error)
	budget *kept.Budget

	mu       sync.Mutex
	contents *contents       // nil until the first slot is asked for
	free     map[int][]*slot // by the bytes reserved
	users    int             // slots that are out
	closed   bool
}

// newMemories has contents made when they are first needed: by then it was seen
// that a memory is not larger than it may be.
func newMemories(b *kept.Budget, contents func() (*contents, error)) *memories {
	return &memories{make: contents, budget: b, free: map[int][]*slot{}}
}

var errClosedMemories = errors.New("memories of a module or snapshot that was closed")

// get gives a slot, reserving a new one if none is left.
func (m *memories) get(bytes int) (*slot, error) {
	sl, err := m.enter(bytes)
	if sl != nil || err != nil {
		return sl, err
	}
	sl, err = m.reserve(bytes)
	if err != nil {
		m.leave()
	}
	return sl, err
}

// enter counts a user and gives a slot that was kept, if there is one.
func (m *memories) enter(bytes int) (*slot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosedMemories
	}
	if err := m.makeContentsLocked(); err != nil {
		return nil, err
	}
	m.users++
	free := m.free[bytes]
	if len(free) == 0 {
		return nil, nil
	}
	sl := free[len(free)-1]
	m.free[bytes] = free[:len(free)-1]
	return sl, nil
}

func (m *memories) makeContentsLocked() (err error) {
	if m.contents == nil {
		m.contents, err = m.make()
	}
	return err
}

func (m *memories) reserve(bytes int) (*slot, error) {
	base, err := reserve(bytes)
	if err != nil {
		return nil, err
	}
	sl := &slot{base: base}
	if err := m.contents.fill(sl); err != nil {
		unreserve(base)
		return nil, err
	}
	return sl, nil
}

// mapped tells whether slots show a file.
func (m *memories) mapped() bool { return m != nil && m.contents.file != nil }

// end is where the last of size bytes that are not zero may be. Where nothing was
// written nothing is read: a page that was read looks as if it had been written.
func (m *memories) end(sl *slot, size int) int {
	if m.mapped() {
		return size
	}
	return min(size, m.contents.writtenEnd(sl))
}

// hold counts a user, until leave.
func (m *memories) hold() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosedMemories
	}
	m.users++
	return nil
}

// adopt counts a user whose slot holds the contents already.
func (m *memories) adopt(sl *slot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosedMemories
	}
	if m.contents.file != nil {
		if err := m.contents.fill(sl); err != nil {
			return err
		}
	}
	m.users++
	return nil
}

// put takes a slot back that no guest uses any more.
func (m *memories) put(sl *slot) {
	if m.contents.restore(sl) != nil || !m.keep(sl) {
		m.unreserve(sl)
	}
	m.leave()
}

// reset puts a slot in order that its guest keeps.
func (m *memories) reset(sl *slot) error {
	if err := m.contents.restore(sl); err != nil {
		return err
	}
	return m.budget.Charge(&sl.share, sl.resident)
}

func (m *memories) unreserve(sl *slot) {
	m.budget.Release(&sl.share)
	unreserve(sl.base)
}

func (m *memories) keep(sl *slot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.budget.Charge(&sl.share, sl.resident) != nil {
		return false
	}
	m.free[len(sl.base)] = append(m.free[len(sl.base)], sl)
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
	for _, slots := range kept {
		for _, sl := range slots {
			m.unreserve(sl)
		}
	}
	if last {
		m.contents.close()
	}
}
