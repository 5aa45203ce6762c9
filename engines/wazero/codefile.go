package wazero

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// mappedCodeBytes is from where on machine code is mapped rather than read. Below
// it costs no more than the kernel's bookkeeping of a mapping.
const mappedCodeBytes = 256 << 10

// The files of what wazero wrote. Machine code has one of its own, which can be
// mapped, and which wazero compares with its checksum when it loads it.
const (
	machineFile = "machine"
	codeFile    = "code" // what stands before and after that, then how long the first is
)

const footerBytes = 8

// writeCode writes what wazero wrote as the files of an artefact.
func writeCode(dir string, written []byte) error {
	from, to := findCode(written)
	around := slices.Concat(written[:from], written[to:])
	around = binary.LittleEndian.AppendUint64(around, uint64(from))
	return errors.Join(
		os.WriteFile(filepath.Join(dir, machineFile), written[from:to], 0o600),
		os.WriteFile(filepath.Join(dir, codeFile), around, 0o600),
	)
}

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
	sum := crc32.Checksum(r.Next(int(size)), castagnoli())
	if r.Len() < 4 || number(4) != uint64(sum) {
		return none, none
	}
	return from, from + int(size)
}

// hugePage is what a processor can map at once, everywhere wazero compiles for.
const hugePage = 2 << 20

// padCode has machine code end where a huge page does, if that takes little room. Linux,
// from 6.7 on, lays memory of such a size where huge pages begin, and there it maps
// those of a file at once: wazero's checksum takes half the time then, and code that
// runs misses less often.
func padCode(written []byte) []byte {
	from, to := findCode(written)
	room := (hugePage - (to-from)%hugePage) % hugePage
	if room == 0 || room > (to-from)/4 {
		return written
	}
	code := append(slices.Clone(written[from:to]), make([]byte, room)...)
	padded := slices.Concat(written[:from], code, written[to:])
	binary.LittleEndian.PutUint64(padded[from-8:], uint64(len(code)))
	binary.LittleEndian.PutUint32(padded[to+room:], crc32.Checksum(code, castagnoli()))
	return padded
}

// castagnoli is of the polynomial that wazero has in its checksum.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// codeReader reads what wazero wrote from an artefact. A reader that asks for all
// machine code at once gets it mapped over the memory that it offers.
type codeReader struct {
	around  []byte // still to come
	from    int    // bytes of that before machine code
	machine machineCode
}

func newCodeReader(dir string) (*codeReader, error) {
	around, err := os.ReadFile(filepath.Join(dir, codeFile))
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	size := len(around) - footerBytes
	if size < 0 || binary.LittleEndian.Uint64(around[size:]) > uint64(size) {
		return nil, errors.New("read code: the file is damaged")
	}
	from := binary.LittleEndian.Uint64(around[size:])
	f, err := os.Open(filepath.Join(dir, machineFile))
	if err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read code: %w", err), f.Close())
	}
	return &codeReader{around: around[:size], from: int(from), machine: machineCode{f, info.Size(), info.Size()}}, nil
}

// Read is called thousands of times, for a few bytes each.
func (r *codeReader) Read(p []byte) (int, error) {
	switch {
	case r.from > 0:
		n := copy(p, r.around[:r.from])
		r.around, r.from = r.around[n:], r.from-n
		return n, nil
	case r.machine.left > 0:
		return r.machine.read(p)
	case len(r.around) == 0 && len(p) > 0:
		return 0, io.EOF
	}
	n := copy(p, r.around)
	r.around = r.around[n:]
	return n, nil
}

func (r *codeReader) Close() error { return r.machine.Close() }

// machineCode is a file that can be mapped.
type machineCode struct {
	*os.File
	size, left int64 // bytes, and those still to come
}

// read maps the code if p has room for all of it. It is as if it were read: where
// that cannot be, because p is not where a mapping can begin or the file lies where
// none may be executed, it is.
func (m *machineCode) read(p []byte) (n int, err error) {
	whole := m.left == m.size && int64(len(p)) >= m.size
	if whole && m.size >= mappedCodeBytes && mapCode(p[:m.size], m.File) == nil {
		m.left = 0
		return int(m.size), nil
	}
	n, err = m.File.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}

// restoreCode writes what wazero wrote to a new file.
func restoreCode(dir, to string) (err error) {
	r, err := newCodeReader(dir)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close(), r.Close())
}
