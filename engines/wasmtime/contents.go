//go:build cgo && linux && amd64

package wasmtime

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// copiedBytes is up to where contents are copied into a new slot rather than
	// mapped: 256 KiB take some microseconds.
	copiedBytes = 256 << 10

	// keptPages is how many changed pages a slot may keep in RAM. Past it they
	// are given back to the system: one activation must not cost memory for good.
	keptPages = 512
)

// contents are what memories start with: bytes from the start on, then zeros.
// They are immutable.
type contents struct {
	bytes []byte
	file  *imageFile // holds the bytes if they are many, for slots to map
	dirty dirtyFinder

	// checked has all that a slot was used for compared after it was put back.
	checked bool
}

// newContents is what the memories of a module or a snapshot start with.
func (r *Runtime) newContents(content []byte) (*contents, error) {
	c, err := newContents(content, r.dirty)
	if err == nil {
		c.checked = r.config.CheckResets
	}
	return c, err
}

// newContents copies content. Zeros at their end are dropped.
func newContents(content []byte, dirty dirtyFinder) (*contents, error) {
	end := len(content)
	for end > 0 && content[end-1] == 0 {
		end--
	}
	c := &contents{dirty: dirty}
	if end <= copiedBytes {
		c.bytes = slices.Clone(content[:end])
		return c, nil
	}
	file, err := newImageFile(content[:end])
	if err != nil {
		return nil, fmt.Errorf("make memory image: %w", err)
	}
	c.file, c.bytes = file, file.data[:end]
	return c, nil
}

func (c *contents) size() int64 { return int64(len(c.bytes)) }

func (c *contents) close() {
	if c.file != nil {
		c.file.close()
	}
}

// fill makes the start of a new slot accessible and gives it the contents: by
// mapping them, so that slots share what they do not change, or by copying few.
func (c *contents) fill(sl *slot) error {
	if sl.start == 0 {
		return nil
	}
	if err := unix.Mprotect(sl.all[:sl.start], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("open a memory: %w", err)
	}
	if c.file != nil {
		return c.file.mapInto(sl.all)
	}
	sl.resident = copy(sl.all, c.bytes)
	return nil
}

// restore undoes what was written to the first size bytes of a slot.
func (c *contents) restore(sl *slot, size int) error {
	if size == 0 {
		return nil
	}
	err := c.undo(sl, size)
	if c.checked && err == nil {
		c.mustHold(sl.all[:size])
	}
	return err
}

// mustHold panics if a memory is not as it was when it was new.
func (c *contents) mustHold(memory []byte) {
	n := min(len(c.bytes), len(memory))
	if !bytes.Equal(memory[:n], c.bytes[:n]) || bytes.Count(memory[n:], []byte{0}) != len(memory)-n {
		panic("wasmtime: a memory that was put back is not what it was")
	}
}

func (c *contents) undo(sl *slot, size int) error {
	scratch := c.dirty.scratch.Get().(*scratch)
	defer c.dirty.scratch.Put(scratch)
	if err := c.dirty.find(sl.all[:size], scratch); err != nil || len(scratch.pages) > keptPages {
		return c.restoreByMapping(sl, size)
	}
	unit := os.Getpagesize()
	for _, page := range scratch.pages {
		c.restoreRange(sl.all[page*unit:(page+1)*unit], page*unit)
	}
	sl.resident = max(sl.resident, len(scratch.pages)*unit)
	return nil
}

// restoreRange restores a part that begins at an offset.
func (c *contents) restoreRange(part []byte, at int) {
	n := 0
	if at < len(c.bytes) {
		n = copy(part, c.bytes[at:])
	}
	clear(part[n:])
}

// restoreByMapping drops all that a guest wrote; what is read again comes from
// the image, or is zero.
func (c *contents) restoreByMapping(sl *slot, size int) error {
	if err := unix.Madvise(sl.all[:size], unix.MADV_DONTNEED); err != nil {
		return err
	}
	sl.resident = 0
	if c.file == nil {
		sl.resident = copy(sl.all, c.bytes)
	}
	return nil
}

// imageFile holds contents where they can be mapped from, without a name.
type imageFile struct {
	fd   int
	data []byte // all of it, read-only
}

// newImageFile copies contents into memory that can only be read from then on.
func newImageFile(contents []byte) (_ *imageFile, err error) {
	fd, err := unix.MemfdCreate("wasmwhisk-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := &imageFile{fd: fd}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if err := f.write(contents); err != nil {
		return nil, err
	}
	f.data, err = unix.Mmap(fd, 0, roundUp(len(contents)), unix.PROT_READ, unix.MAP_SHARED)
	return f, err
}

// write leaves pages of zeros out: they take no RAM then.
func (f *imageFile) write(contents []byte) error {
	if err := unix.Ftruncate(f.fd, int64(roundUp(len(contents)))); err != nil {
		return err
	}
	unit := os.Getpagesize()
	for from := 0; from < len(contents); from += unit {
		page := contents[from:min(from+unit, len(contents))]
		if !slices.ContainsFunc(page, func(b byte) bool { return b != 0 }) {
			continue
		}
		if _, err := unix.Pwrite(f.fd, page, int64(from)); err != nil {
			return err
		}
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, seals)
	return err
}

func roundUp(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

// mapInto lays the contents over the start of a reservation. What is written
// there goes to pages of its own.
func (f *imageFile) mapInto(base []byte) error {
	_, err := unix.MmapPtr(f.fd, 0, unsafe.Pointer(unsafe.SliceData(base)), uintptr(len(f.data)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map memory image: %w", err)
	}
	return nil
}

// close drops the file. What is mapped stays.
func (f *imageFile) close() {
	if f.data != nil {
		_ = unix.Munmap(f.data)
	}
	_ = unix.Close(f.fd)
}
