package wazero

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// codePage is what machine code begins at a multiple of in its file: the largest
// page of the systems that there are.
const codePage = 64 << 10

// mappedCodeBytes is from where on machine code is mapped rather than read. Below
// it costs no more than the kernel's bookkeeping of a mapping.
const mappedCodeBytes = 256 << 10

// codeFooter ends a code file.
type codeFooter struct {
	Head uint64 // bytes before the zeros that the code is moved by
	Code uint64 // bytes after them that are machine code
}

const footerBytes = 16

// alignCode gives what wazero wrote the form of a code file, whose machine code
// can be mapped: moved to a page's begin.
func alignCode(written []byte) []byte {
	from, to := findCode(written)
	out := bytes.Clone(written[:from])
	out = append(out, make([]byte, aligned(int64(from))-int64(from))...)
	out = append(out, written[from:]...)
	footer, _ := binary.Append(out, binary.LittleEndian, codeFooter{Head: uint64(from), Code: uint64(to - from)})
	return footer
}

func aligned(n int64) int64 { return (n + codePage - 1) / codePage * codePage }

// findCode tells where machine code is in what wazero wrote. It follows wazero's
// form and believes what it finds if the checksum does that comes after it; else
// it takes all for what is not machine code, and nothing will be mapped.
func findCode(written []byte) (from, to int) {
	const magic = "WAZEVO"
	none := len(written)
	r := bytes.NewBuffer(written)
	skip := func(n uint64) { r.Next(int(min(n, uint64(r.Len())))) }
	number := func(bytes int) uint64 {
		var b [8]byte
		copy(b[:], r.Next(bytes))
		return binary.LittleEndian.Uint64(b[:])
	}
	if string(r.Next(len(magic))) != magic {
		return none, none
	}
	skip(number(1))     // version
	skip(8 * number(4)) // offsets of functions
	size := number(8)
	from = none - r.Len()
	if size > uint64(r.Len()) {
		return none, none
	}
	sum := crc32.Checksum(r.Next(int(size)), crc32.MakeTable(crc32.Castagnoli))
	if r.Len() < 4 || number(4) != uint64(sum) {
		return none, none
	}
	return from, from + int(size)
}

// codeReader reads what wazero wrote from a code file. A reader that asks for all
// machine code at once gets it mapped over the memory that it offers.
type codeReader struct {
	io.Reader
	file *os.File
}

// newCodeReader takes the file over.
func newCodeReader(f *os.File) (_ *codeReader, err error) {
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	size := info.Size() - footerBytes
	var footer codeFooter
	if err := binary.Read(io.NewSectionReader(f, size, footerBytes), binary.LittleEndian, &footer); err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	head, code := int64(footer.Head), int64(footer.Code)
	start := aligned(head)
	if head < 0 || head > size || start < head || start > size || code < 0 || code > size-start {
		return nil, errors.New("read code: the file is damaged")
	}
	before := make([]byte, head)
	after := make([]byte, size-start-code)
	if _, err := f.ReadAt(before, 0); err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	if _, err := f.ReadAt(after, start+code); err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	middle := &machineCode{SectionReader: io.NewSectionReader(f, start, code), file: f, offset: start}
	return &codeReader{io.MultiReader(bytes.NewReader(before), middle, bytes.NewReader(after)), f}, nil
}

func (r *codeReader) Close() error { return r.file.Close() }

// machineCode is the part of a code file that can be mapped.
type machineCode struct {
	*io.SectionReader
	file   *os.File
	offset int64
}

// Read maps the code if p has room for all of it. It is as if it were read: where
// that cannot be, because p is not where a mapping can begin or the file lies
// where none may be executed, it is.
func (m *machineCode) Read(p []byte) (int, error) {
	size := m.Size()
	at, _ := m.Seek(0, io.SeekCurrent)
	if at != 0 || size < mappedCodeBytes || int64(len(p)) < size || mapCode(p[:size], m.file, m.offset) != nil {
		return m.SectionReader.Read(p)
	}
	_, err := m.Seek(size, io.SeekStart)
	return int(size), err
}

// restoreCode writes what wazero wrote to a new file.
func restoreCode(code, to string) (err error) {
	f, err := os.Open(code)
	if err != nil {
		return err
	}
	r, err := newCodeReader(f)
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}
