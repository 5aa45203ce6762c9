package wazero

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
)

// errNoPagemap tells that this system does not say which pages were written.
var errNoPagemap = errors.New("no pagemap")

// cacheBytes is up to where putting back all of a memory costs less than asking
// the kernel what changed: what fits into a processor's first cache.
const cacheBytes = 32 << 10

// copiedBytes is up to where contents are copied into a new slot rather than
// mapped: 256 KiB take some microseconds.
const copiedBytes = 256 << 10

// unseenBytes is up to where it pays to put back all of a memory when what
// changed cannot be found out: past it every page of it would become the slot's
// own.
const unseenBytes = 1 << 20

// keptPages is how many changed pages a slot may keep in RAM. Past it they are
// given back to the system: one activation must not cost memory for good.
const keptPages = 512

// contents are what memories start with: bytes from the start on, then zeros.
// They are immutable.
type contents struct {
	bytes []byte
	file  *imageFile // holds the bytes if they are many, for slots to map
	dirty dirtyFinder

	// checked has all that a slot was used for compared after it was put back.
	checked bool
}

// span is a range of bytes in a slot.
type span struct{ from, to int }

// newContents takes bytes over. Zeros at their end are dropped.
func newContents(bytes []byte, dirty dirtyFinder) (*contents, error) {
	end := contentEnd(bytes)
	c := &contents{bytes: bytes[:end], dirty: dirty}
	if end <= copiedBytes {
		c.bytes = slices.Clone(c.bytes)
		return c, nil
	}
	file, err := newImageFile(c.bytes)
	if errors.Is(err, errors.ErrUnsupported) {
		c.bytes = slices.Clone(c.bytes)
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make memory image: %w", err)
	}
	c.file, c.bytes = file, file.view()[:end]
	return c, nil
}

// contentEnd is where the zeros at the end of b begin.
func contentEnd(b []byte) int {
	var zeros [1 << 10]byte
	for bytes.HasSuffix(b, zeros[:]) {
		b = b[:len(b)-len(zeros)]
	}
	return len(bytes.TrimRight(b, "\x00"))
}

// shownBy tells whether a memory holds just this.
func (c *contents) shownBy(memory []byte) bool {
	return bytes.HasPrefix(memory, c.bytes) && contentEnd(memory[len(c.bytes):]) == 0
}

func (c *contents) size() int64 { return int64(len(c.bytes)) }

func (c *contents) close() {
	if c.file != nil {
		c.file.close()
	}
}

// fill gives a new slot its contents: by mapping them, so that slots share what
// they do not change, or by copying few.
func (c *contents) fill(sl *slot) error {
	if c.file != nil {
		return c.file.mapInto(sl.base)
	}
	sl.resident = copy(sl.base, c.bytes)
	return nil
}

// restore undoes what was written to a slot.
func (c *contents) restore(sl *slot) error {
	err := c.undo(sl)
	if c.checked && err == nil {
		c.mustHold(sl)
	}
	sl.used = 0
	return err
}

// mustHold panics if a slot is not as it was when it was new.
func (c *contents) mustHold(sl *slot) {
	used := sl.base[:sl.used]
	n := min(len(c.bytes), len(used))
	if !bytes.Equal(used[:n], c.bytes[:n]) || bytes.Count(used[n:], []byte{0}) != len(used)-n {
		panic("wazero: a memory that was put back is not what it was")
	}
}

func (c *contents) undo(sl *slot) error {
	if sl.used <= cacheBytes && c.file == nil {
		c.restoreRange(sl, 0, sl.used)
		sl.resident = max(sl.resident, sl.used)
		return nil
	}
	scratch := c.dirty.scratch.Get().(*scratch)
	defer c.dirty.scratch.Put(scratch)
	if err := c.dirty.find(sl, scratch); err != nil {
		return c.restoreUnseen(sl)
	}
	dirty := 0
	for _, s := range scratch.dirty {
		dirty += s.to - s.from
	}
	if dirty > keptPages*os.Getpagesize() {
		return c.restoreByMapping(sl)
	}
	for _, s := range scratch.dirty {
		c.restoreRange(sl, s.from, min(s.to, sl.used))
	}
	sl.resident = max(sl.resident, dirty)
	return nil
}

// writtenEnd is where what was written to a slot ends.
func (c *contents) writtenEnd(sl *slot) int {
	scratch := c.dirty.scratch.Get().(*scratch)
	defer c.dirty.scratch.Put(scratch)
	if c.dirty.find(sl, scratch) != nil {
		return sl.used
	}
	end, written := 0, 0
	for _, s := range scratch.dirty {
		end = max(end, s.to)
		written += s.to - s.from
	}
	if written > keptPages*os.Getpagesize() {
		return sl.used // there may be more
	}
	return end
}

// restoreUnseen puts a slot back where the kernel does not tell what changed.
func (c *contents) restoreUnseen(sl *slot) error {
	if sl.used > unseenBytes {
		return c.restoreByMapping(sl)
	}
	c.restoreRange(sl, 0, sl.used)
	sl.resident = sl.used
	return nil
}

func (c *contents) restoreRange(sl *slot, from, to int) {
	n := 0
	if from < len(c.bytes) {
		n = copy(sl.base[from:to], c.bytes[from:])
	}
	clear(sl.base[from+n : to])
}

// restoreByMapping drops all that a guest wrote; what is read again comes from
// the image, or is zero.
func (c *contents) restoreByMapping(sl *slot) error {
	if err := discard(sl.base[:sl.used]); err != nil {
		return err
	}
	sl.resident = 0
	if c.file != nil {
		return nil
	}
	return c.fill(sl)
}
