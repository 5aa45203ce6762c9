package wasi

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"wasmwhisk/engine"
)

// Bounds on what a guest may name.
const (
	maxPath    = 4096 // bytes of a path, as in Linux
	maxTarget  = 1024 // bytes of a link's target, so that chains of links stay cheap to resolve
	maxBuffers = 1024 // buffers of one read or write, as in Linux
)

// args are the parameters of a call as the guest gave them.
type args []uint64

func (a args) u32(i int) uint32 { return uint32(a[i]) }

// path reads the path whose pointer and length are parameters i and i+1. It is
// relative, not empty, and free of NUL.
func (a args) path(mem engine.Memory, i int) (string, error) {
	path, err := a.text(mem, i, maxPath)
	if err != nil {
		return "", err
	}
	if path[0] == '/' {
		return "", eNOTCAPABLE
	}
	return path, nil
}

// text reads the string whose pointer and length are parameters i and i+1.
func (a args) text(mem engine.Memory, i, limit int) (string, error) {
	n := a.u32(i + 1)
	if n == 0 {
		return "", eNOENT
	}
	if n > uint32(limit) {
		return "", eNAMETOOLONG
	}
	b, err := mem.Range(a.u32(i), n)
	if err != nil {
		return "", err
	}
	return checkedText(b)
}

func checkedText(b []byte) (string, error) {
	if bytes.IndexByte(b, 0) >= 0 {
		return "", eINVAL
	}
	if !utf8.Valid(b) {
		return "", eILSEQ
	}
	return string(b), nil
}

// array is the n elements at ptr.
func array(mem engine.Memory, ptr, n, size uint32) ([]byte, error) {
	total := uint64(n) * uint64(size)
	if total > uint64(len(mem)) {
		return nil, eFAULT
	}
	return mem.Range(ptr, uint32(total))
}

// buffer is the i-th buffer of an array of iovecs.
func buffer(mem engine.Memory, iovecs []byte, i int) ([]byte, error) {
	iovec := iovecs[i*sizeIovec:]
	return mem.Range(binary.LittleEndian.Uint32(iovec), binary.LittleEndian.Uint32(iovec[4:]))
}

// The sizes of preview1's structures in a guest's memory.
const (
	sizeIovec        = 8
	sizeFdstat       = 24
	sizeFilestat     = 64
	sizeDirent       = 24
	sizePrestat      = 8
	sizeSubscription = 48
	sizeEvent        = 32
)
