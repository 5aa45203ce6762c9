package engine

import (
	"encoding/binary"
	"fmt"
)

// Memory is a view of a guest's linear memory. Every access is checked: a
// guest's pointers and lengths are hostile until proven otherwise.
type Memory []byte

// Range is the n bytes at ptr, or a [BoundsError]. The slice aliases the
// memory and cannot be appended to.
func (m Memory) Range(ptr, n uint32) ([]byte, error) {
	end := uint64(ptr) + uint64(n)
	if end > uint64(len(m)) {
		return nil, &BoundsError{Ptr: ptr, Len: n, Size: uint64(len(m))}
	}
	return m[ptr:end:end], nil
}

// Uint32 reads the little-endian word at ptr.
func (m Memory) Uint32(ptr uint32) (uint32, error) {
	b, err := m.Range(ptr, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// PutUint32 writes the little-endian word at ptr.
func (m Memory) PutUint32(ptr, v uint32) error {
	b, err := m.Range(ptr, 4)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b, v)
	return nil
}

// PutUint64 writes the little-endian double word at ptr.
func (m Memory) PutUint64(ptr uint32, v uint64) error {
	b, err := m.Range(ptr, 8)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(b, v)
	return nil
}

// BoundsError reports a range that a guest named and that does not lie within
// its memory.
type BoundsError struct {
	Ptr, Len uint32
	Size     uint64 // of the memory, in bytes
}

func (e *BoundsError) Error() string {
	return fmt.Sprintf("%d bytes at %#x are outside the memory of %d bytes", e.Len, e.Ptr, e.Size)
}
