package wasi

import (
	"context"
	"errors"
	"math"

	"wasmwhisk/engine"
)

// maxPiece bounds the bytes that move between two looks at the context.
const maxPiece = 1 << 20

// reader is a file that can be read where it stands.
type reader interface {
	read(ctx context.Context, p []byte, flags fdflags) (int, error)
}

// writer is a file that can be written where it stands.
type writer interface {
	write(p []byte) (int, error)
}

func (s *System) fdRead(ctx context.Context, mem engine.Memory, a args) error {
	f, d, err := fileAs[reader](s, a.u32(0), rightFdRead, eBADF)
	if err != nil {
		return err
	}
	if s.config.Hold != nil && f == reader(&s.stdin) {
		return &stop{s.config.Hold}
	}
	if s.config.Ready != nil && f == reader(&s.stdin) {
		return s.ready(a.u32(2))
	}
	return transfer(ctx, mem, a.u32(1), a.u32(2), a.u32(3), func(b []byte, moved uint32) (int, error) {
		if _, stream := f.(*input); stream && moved > 0 {
			return 0, nil // what is there is enough: more could block
		}
		return f.read(ctx, b, d.flags)
	})
}

var errNoInput = errors.New("there is no input yet")

// ready ends a guest that reads where there is no input yet.
func (s *System) ready(buffers uint32) error {
	if buffers > 0 {
		return &stop{errNoInput}
	}
	return &stop{s.config.Ready}
}

func (s *System) fdWrite(ctx context.Context, mem engine.Memory, a args) error {
	f, _, err := fileAs[writer](s, a.u32(0), rightFdWrite, eBADF)
	if err != nil {
		return err
	}
	return transfer(ctx, mem, a.u32(1), a.u32(2), a.u32(3), func(b []byte, _ uint32) (int, error) {
		return f.write(b)
	})
}

func (s *System) fdPread(ctx context.Context, mem engine.Memory, a args) error {
	f, err := s.regular(a.u32(0), rightFdRead|rightFdSeek)
	if err != nil {
		return err
	}
	offset, err := fileOffset(a[3])
	if err != nil {
		return err
	}
	return transfer(ctx, mem, a.u32(1), a.u32(2), a.u32(4), func(b []byte, moved uint32) (int, error) {
		return ended(f.ReadAt(b, offset+int64(moved)))
	})
}

func (s *System) fdPwrite(ctx context.Context, mem engine.Memory, a args) error {
	f, err := s.regular(a.u32(0), rightFdWrite|rightFdSeek)
	if err != nil {
		return err
	}
	offset, err := fileOffset(a[3])
	if err != nil {
		return err
	}
	return transfer(ctx, mem, a.u32(1), a.u32(2), a.u32(4), func(b []byte, moved uint32) (int, error) {
		return f.WriteAt(b, offset+int64(moved))
	})
}

// fileOffset leaves room for as many bytes as a call can move.
func fileOffset(offset uint64) (int64, error) {
	if offset > math.MaxInt64-math.MaxUint32 {
		return 0, eINVAL
	}
	return int64(offset), nil
}

// mover moves b, or a part of it, after as many bytes as have moved before.
type mover func(b []byte, moved uint32) (int, error)

// transfer moves the n buffers whose iovecs lie at ptr, and writes at result how
// many bytes that were. An error counts only if there were none, as in POSIX.
func transfer(ctx context.Context, mem engine.Memory, ptr, n, result uint32, move mover) error {
	if n > maxBuffers {
		return eINVAL
	}
	iovecs, err := array(mem, ptr, n, sizeIovec)
	if err != nil {
		return err
	}
	if _, err := mem.Range(result, 4); err != nil {
		return err
	}
	moved, err := moveBuffers(ctx, mem, iovecs, move)
	if _, stopped := errors.AsType[*stop](err); stopped || moved == 0 && err != nil {
		return err
	}
	return mem.PutUint32(result, moved)
}

// moveBuffers ends at the first buffer that does not move whole. Buffers may
// overlap, so it also ends after as many bytes as there is memory.
func moveBuffers(ctx context.Context, mem engine.Memory, iovecs []byte, move mover) (moved uint32, err error) {
	for i := range len(iovecs) / sizeIovec {
		b, err := buffer(mem, iovecs, i)
		if err != nil {
			return moved, err
		}
		b = b[:min(uint64(len(b)), uint64(len(mem))-uint64(moved), math.MaxUint32-uint64(moved))]
		n, err := movePieces(ctx, b, moved, move)
		moved += uint32(n)
		if err != nil || n < len(b) {
			return moved, err
		}
	}
	return moved, nil
}

func movePieces(ctx context.Context, b []byte, before uint32, move mover) (n int, err error) {
	for n < len(b) {
		if moved := before + uint32(n); moved > 0 && ctx.Err() != nil {
			return n, interrupted(ctx)
		}
		piece := b[n:min(len(b), n+maxPiece)]
		k, err := move(piece, before+uint32(n))
		n += k
		if err != nil || k < len(piece) {
			return n, err
		}
	}
	return n, nil
}
