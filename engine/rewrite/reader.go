package rewrite

import (
	"fmt"
	"unicode/utf8"
)

// A reader reads the encoding of a module. After its first error it has nothing
// left and reads zeros, so loops over it end.
type reader struct {
	buf  []byte
	base int // offset of buf in the binary
	pos  int
	err  *FormatError

	seen *seen // the same for all readers of a module

	refs    []reference // functions named so far
	globals uint32      // one more than the largest index of a global so far
	filled  uint64      // likewise, of a table that an active segment is for
}

// seen is what a walk over a module has to remember.
type seen struct {
	tables []uint32 // the minimum of each
	data   []segment
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &FormatError{Offset: r.base + r.pos, Reason: fmt.Sprintf(format, args...)}
	}
	r.pos = len(r.buf)
}

func (r *reader) left() int { return len(r.buf) - r.pos }

func (r *reader) byte() byte {
	if r.left() == 0 {
		r.fail("unexpected end")
		return 0
	}
	r.pos++
	return r.buf[r.pos-1]
}

// u32 reads an unsigned number in at most five bytes, most often one.
func (r *reader) u32() uint32 {
	if p := r.pos; p < len(r.buf) && r.buf[p] < 0x80 {
		r.pos++
		return uint32(r.buf[p])
	}
	return r.longU32()
}

func (r *reader) longU32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.fail("number exceeds 32 bits")
	return 0
}

// signed reads a signed number in at most so many bytes. Whether it fits its
// type is for the engine to judge.
func (r *reader) signed(size int) int64 {
	var v int64
	for i := range size {
		b := r.byte()
		v |= int64(b&0x7f) << (7 * i)
		if b < 0x80 {
			unused := max(64-7*(i+1), 0)
			return v << unused >> unused
		}
	}
	r.fail("number too long")
	return 0
}

// take reads n bytes.
func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail("%d bytes announced, %d left", n, r.left())
		return nil
	}
	r.pos += int(n)
	return r.buf[r.pos-int(n) : r.pos]
}

// maxNameBytes bounds each name, as engines of browsers do: hosts repeat names in what
// they say of a module, and in each line of a stack's trace.
const maxNameBytes = 100_000

// name reads a size and as many bytes.
func (r *reader) name() []byte {
	text := r.bytes()
	if len(text) > maxNameBytes {
		r.fail("a name of %d bytes exceeds the limit of %d", len(text), maxNameBytes)
		return nil
	}
	return text
}

// text reads a name that has to be UTF-8. Of most names engines say so themselves.
func (r *reader) text() []byte {
	name := r.name()
	if !utf8.Valid(name) {
		r.fail("a name is not UTF-8")
	}
	return name
}

// bytes reads a size and as many bytes, whatever they are.
func (r *reader) bytes() []byte { return r.take(r.u32()) }

// sized reads a size and gives a reader of as many bytes.
func (r *reader) sized() *reader {
	content := r.bytes()
	return &reader{buf: content, base: r.base + r.pos - len(content), seen: r.seen}
}

// within has read work on the next bytes that a size announces, and sees to it
// that it uses them up.
func (r *reader) within(read func(*reader)) {
	inner := r.sized()
	read(inner)
	if inner.left() > 0 {
		inner.fail("%d bytes too many", inner.left())
	}
	r.adopt(inner)
}

// adopt makes the error of a reader of a part that of the whole.
func (r *reader) adopt(part *reader) {
	if part.err != nil && r.err == nil {
		r.err, r.pos = part.err, len(r.buf)
	}
}

// count reads the length of a vector. Elements take a byte at least, so more of
// them than bytes are a lie; more than limit are too many for any engine.
func (r *reader) count(of string, limit uint32) uint32 {
	n := r.u32()
	if uint64(n) > uint64(r.left()) {
		r.fail("%d %s announced, %d bytes left", n, of, r.left())
		return 0
	}
	if n > limit {
		r.fail("%d %s exceed the limit of %d", n, of, limit)
		return 0
	}
	return n
}

// limits are the bounds of a table or memory.
type limits struct {
	flags    byte
	min, max uint32
}

const (
	limitsHaveMax = 1 << iota
	limitsShared
)

func (l limits) unbounded() bool { return l.flags&limitsHaveMax == 0 }

func (l limits) shared() bool { return l.flags&limitsShared != 0 }

func (l limits) append(b []byte) []byte {
	b = appendU32(append(b, l.flags), l.min)
	if l.unbounded() {
		return b
	}
	return appendU32(b, l.max)
}

func (r *reader) limits() limits {
	l := limits{flags: r.byte()}
	if l.flags&^(limitsHaveMax|limitsShared) != 0 {
		r.fail("unknown kind of limits %#x", l.flags)
	}
	l.min = r.u32()
	if !l.unbounded() {
		l.max = r.u32()
	}
	return l
}
