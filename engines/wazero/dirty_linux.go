package wazero

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirtyFinder finds the pages of a slot that are its own: written, rather than
// those of the image or never touched. See pagemap.rst in the kernel's
// documentation for both ways to ask.
type dirtyFinder struct {
	pagemap *os.File // nil where it cannot be read
	scans   bool     // the kernel can be asked for what is dirty, rather than for every page
	scratch *sync.Pool
}

// scratch is what finding needs for a moment.
type scratch struct {
	dirty   []span
	entries []uint64
	regions []pageRegion
	arg     pagemapScanArg
}

// newDirtyFinder tries what the kernel tells. Without, it finds nothing, and says
// so each time.
func newDirtyFinder() dirtyFinder {
	d := dirtyFinder{scratch: &sync.Pool{New: func() any { return new(scratch) }}}
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return d
	}
	d.pagemap = f
	d.scans = d.scan(&slot{}, new(scratch)) == nil
	return d
}

// note is for operators where finding has to be done without.
func (d dirtyFinder) note() string {
	if d.pagemap != nil {
		return ""
	}
	return "/proc/self/pagemap cannot be read: memories are put back as a whole, which takes longer"
}

// readBytes is up to where looking at every page costs less than the preparations
// of the kernel's own search.
const readBytes = 512 << 10

// find leaves what is dirty of all that the slot was used for in the scratch. It
// may stop when that is more than keptPages.
func (d dirtyFinder) find(sl *slot, s *scratch) error {
	switch {
	case d.pagemap == nil:
		return errNoPagemap
	case d.scans && sl.used > readBytes:
		return d.scan(sl, s)
	default:
		return d.read(sl, s)
	}
}

// pagemapScanArg and pageRegion are struct pm_scan_arg and struct page_region of
// linux/fs.h.
type pagemapScanArg struct {
	size, flags, start, end, walkEnd       uint64
	vec, vecLen, maxPages                  uint64
	inverted, mask, anyOfMask, returnsMask uint64
}

type pageRegion struct{ start, end, categories uint64 }

const (
	pagemapScan = 0xc0606610 // PAGEMAP_SCAN, of Linux 6.7

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsZero    = 1 << 5 // was read and never written
)

// scan has the kernel go over the page tables and tell what is dirty, neighbours
// in one.
func (d dirtyFinder) scan(sl *slot, s *scratch) error {
	if s.regions == nil {
		s.regions = make([]pageRegion, keptPages+1)
	}
	start := sl.address()
	s.arg = pagemapScanArg{
		size:  uint64(unsafe.Sizeof(s.arg)),
		start: start, end: start + uint64(roundUp(sl.used)),
		vec:    uint64(uintptr(unsafe.Pointer(unsafe.SliceData(s.regions)))),
		vecLen: uint64(len(s.regions)), maxPages: uint64(len(s.regions)),
		inverted: pageIsFile | pageIsZero, mask: pageIsFile | pageIsZero,
		anyOfMask: pageIsPresent | pageIsSwapped, returnsMask: pageIsPresent,
	}
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, d.pagemap.Fd(), pagemapScan, uintptr(unsafe.Pointer(&s.arg)))
	if errno != 0 {
		return errno
	}
	s.dirty = s.dirty[:0]
	for _, r := range s.regions[:n] {
		s.dirty = append(s.dirty, span{int(r.start - start), int(r.end - start)})
	}
	return nil
}

// The bits of an entry of the pagemap: present, swapped, of a file.
const (
	entryPresent = 1 << 63
	entrySwapped = 1 << 62
	entryFile    = 1 << 61
)

// read looks at an entry for each page.
func (d dirtyFinder) read(sl *slot, s *scratch) error {
	unit := os.Getpagesize()
	n := roundUp(sl.used) / unit
	if cap(s.entries) < n {
		s.entries = make([]uint64, n)
	}
	entries := s.entries[:n]
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(entries))), n*8)
	if _, err := d.pagemap.ReadAt(bytes, int64(sl.address()/uint64(unit)*8)); err != nil {
		return err
	}
	s.dirty = s.dirty[:0]
	for page, e := range entries {
		if e&entrySwapped != 0 || e&(entryPresent|entryFile) == entryPresent {
			s.dirty = append(s.dirty, span{page * unit, (page + 1) * unit})
		}
	}
	return nil
}

func (sl *slot) address() uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(sl.base)))) }

// close may be called twice.
func (d dirtyFinder) close() {
	if d.pagemap != nil {
		_ = d.pagemap.Close()
	}
}
