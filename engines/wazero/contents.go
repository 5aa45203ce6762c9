package wazero

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// openContents gives those of a file that nobody changes, and whose last byte is not
// zero. They are mapped from there if they are many and that is wanted and possible.
func openContents(path string, dirty dirtyFinder, mapped bool) (*contents, error) {
	if mapped {
		file, size, err := openImageFile(path)
		if err == nil && size > copiedBytes {
			return &contents{bytes: file.view()[:size], file: file, dirty: dirty}, nil
		}
		if err == nil {
			file.close()
		}
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read memory image: %w", err)
	}
	return newContents(bytes, dirty)
}

// wholeBytes is up to where contents are written at once and zeros with them: the
// kernel keeps such a file in large pages, and maps it in less than half the time.
const wholeBytes = 16 << 20

// writeTo writes the contents to a new file, large ones without the pages of zeros.
func (c *contents) writeTo(path string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	var from io.ReaderAt = bytes.NewReader(c.bytes)
	if c.file != nil {
		from = c.file
	}
	write := copyWritten
	if c.size() <= wholeBytes {
		write = copyWhole
	}
	err = errors.Join(out.Truncate(c.size()), write(out, io.NewSectionReader(from, 0, c.size())))
	return errors.Join(err, out.Close())
}

func copyWhole(to io.WriterAt, from *io.SectionReader) error {
	buf := make([]byte, from.Size())
	if _, err := io.ReadFull(from, buf); err != nil {
		return err
	}
	_, err := to.WriteAt(buf, 0)
	return err
}

// copyWritten copies what is not zeros.
func copyWritten(to io.WriterAt, from *io.SectionReader) error {
	buf := make([]byte, 64*sparseBytes)
	for at := int64(0); at < from.Size(); at += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), from.Size()-at)]
		if _, err := from.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for from, end := nextWritten(part, 0); from < end; from, end = nextWritten(part, end) {
			if _, err := to.WriteAt(part[from:end], at+int64(from)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sparseBytes is the unit in which zeros are left out of an image.
const sparseBytes = 4096

// nextWritten gives the next pages, at or after one, that are not zeros.
func nextWritten(contents []byte, at int) (from, to int) {
	for from = at; from < len(contents) && isZero(pageAt(contents, from)); {
		from += sparseBytes
	}
	for to = from; to < len(contents) && !isZero(pageAt(contents, to)); {
		to += sparseBytes
	}
	return min(from, len(contents)), min(to, len(contents))
}

func pageAt(contents []byte, from int) []byte {
	return contents[from:min(from+sparseBytes, len(contents))]
}

func isZero(page []byte) bool {
	var zeros [sparseBytes]byte
	return bytes.Equal(page, zeros[:len(page)])
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
