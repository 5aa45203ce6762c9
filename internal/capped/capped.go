// Package capped keeps the beginning of what is written.
package capped

import "bytes"

// Buffer keeps so many bytes, and takes any number. It has no ReadFrom, by which
// [io.Copy] would go past its bound.
type Buffer struct {
	limit int
	kept  bytes.Buffer
}

// New makes a buffer that keeps so many bytes.
func New(limit int) *Buffer { return &Buffer{limit: limit} }

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	return len(p), b.keep(p[:min(len(p), b.limit-b.kept.Len())])
}

func (b *Buffer) keep(p []byte) error {
	_, err := b.kept.Write(p)
	return err
}

// Bytes are what was kept. They are the buffer's.
func (b *Buffer) Bytes() []byte { return b.kept.Bytes() }

// String is what was kept.
func (b *Buffer) String() string { return b.kept.String() }
