//go:build cgo && linux && amd64

package wasmtime

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"unsafe"
)

// dirtyFinder finds the pages of a memory that are its own: written, rather than
// those of the image or never touched. See pagemap.rst in the kernel's
// documentation for the bits.
type dirtyFinder struct {
	pagemap *os.File // nil where it cannot be read
	scratch *sync.Pool
}

// scratch is what finding dirty pages needs for a moment.
type scratch struct {
	entries []byte
	pages   []int
}

const (
	pagemapPresent = 1 << 63
	pagemapSwapped = 1 << 62
	pagemapFile    = 1 << 61
)

// errNoPagemap tells that this system does not say which pages were written.
var errNoPagemap = errors.New("no pagemap")

// newDirtyFinder tries whether the kernel tells. Without, it finds nothing, and
// says so each time.
func newDirtyFinder() dirtyFinder {
	d := dirtyFinder{scratch: &sync.Pool{New: func() any { return new(scratch) }}}
	if f, err := os.Open("/proc/self/pagemap"); err == nil {
		d.pagemap = f
	}
	return d
}

// note is for operators where finding has to be done without.
func (d dirtyFinder) note() string {
	if d.pagemap != nil {
		return ""
	}
	return "/proc/self/pagemap cannot be read: memories are put back as a whole, which takes longer"
}

func (d dirtyFinder) find(memory []byte, s *scratch) error {
	if d.pagemap == nil {
		return errNoPagemap
	}
	unit := os.Getpagesize()
	n := (len(memory) + unit - 1) / unit
	if cap(s.entries) < n*8 {
		s.entries = make([]byte, n*8)
	}
	entries := s.entries[:n*8]
	at := int64(uintptr(unsafe.Pointer(unsafe.SliceData(memory)))/uintptr(unit)) * 8
	if _, err := d.pagemap.ReadAt(entries, at); err != nil {
		return err
	}
	s.pages = s.pages[:0]
	for i := range n {
		if e := binary.LittleEndian.Uint64(entries[i*8:]); e&pagemapSwapped != 0 || e&pagemapPresent != 0 && e&pagemapFile == 0 {
			s.pages = append(s.pages, i)
		}
	}
	return nil
}

// close may be called twice.
func (d dirtyFinder) close() {
	if d.pagemap != nil {
		_ = d.pagemap.Close()
	}
}
