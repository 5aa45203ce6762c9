//go:build !linux

package wazero

import (
	"errors"
	"os"
	"sync"
)

// reserve gives zeros. They are the collector's here, which leaves pages alone
// that were never touched.
func reserve(n int) ([]byte, error) { return make([]byte, n), nil }

func unreserve([]byte) {}

// discard makes b zeros again.
func discard(b []byte) error {
	clear(b)
	return nil
}

// imageFile is of Linux; elsewhere slots copy their contents.
type imageFile struct{}

func newImageFile([]byte) (*imageFile, error) { return nil, errors.ErrUnsupported }
func openImageFile(string) (*imageFile, int, error) {
	return nil, 0, errors.ErrUnsupported
}
func (*imageFile) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (*imageFile) view() []byte                      { return nil }
func (*imageFile) mapInto([]byte) error              { return errors.ErrUnsupported }
func (*imageFile) close()                            {}

func mapCode([]byte, *os.File) error { return errors.ErrUnsupported }

// dirtyFinder finds nothing here.
type dirtyFinder struct{ scratch *sync.Pool }

type scratch struct{ dirty []span }

func newDirtyFinder() dirtyFinder {
	return dirtyFinder{scratch: &sync.Pool{New: func() any { return new(scratch) }}}
}

func (dirtyFinder) note() string {
	return "this system does not tell which memory was written: memories are put back as a whole, which takes longer"
}

func (dirtyFinder) find(*slot, *scratch) error { return errNoPagemap }
func (dirtyFinder) close()                     {}
