package precompile

import (
	"archive/zip"
	"bytes"
	"cmp"
	"errors"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"

	"wasmwhisk/engine"
)

// entryName is the module's entry in the archives that we write, and the first
// that we look for.
const entryName = "action.wasm"

func intakeZip(code []byte, limits Limits, preview engine.Preview) (Action, error) {
	a, err := listZip(code, limits)
	if err == nil {
		return a.action(preview)
	}
	if at, ok := mangled(code); ok {
		return Action{}, refuse(FaultArchive, damaged, at)
	}
	return Action{}, corrupt(err)
}

func listZip(code []byte, limits Limits) (*archive, error) {
	if err := countHeaders(code, limits); err != nil {
		return nil, err
	}
	r, err := zip.NewReader(bytes.NewReader(code), int64(len(code)))
	if err != nil {
		return nil, err
	}
	r.RegisterDecompressor(zip.Deflate, flate.NewReader)
	a := newArchive(limits)
	spans := make([]span, 0, len(r.File))
	for _, f := range r.File {
		s, err := a.addZip(f, code)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	return a, checkOverlap(spans)
}

// countHeaders bounds what the directory makes of memory, before it is read:
// the count that an archive declares for it may be a lie. A signature can occur
// in content by chance, hence the allowance.
func countHeaders(code []byte, limits Limits) error {
	if bytes.Count(code, []byte("PK\x01\x02")) > 2*limits.Entries {
		return refuse(FaultSize, "the archive has more than %d entries", limits.Entries)
	}
	return nil
}

// span is where an entry's data lies in an archive, with the fixed part of the
// header before it.
type span struct{ start, end int64 }

const localHeaderBytes = 30

func (a *archive) addZip(f *zip.File, code []byte) (span, error) {
	name, err := a.admit(f.Name)
	if err != nil {
		return span{}, err
	}
	s, err := locate(f, int64(len(code)))
	if err != nil || f.Mode().IsDir() {
		return s, err
	}
	if !f.Mode().IsRegular() {
		return s, refuse(FaultArchive, "entry %q is a link or device; only files are taken", shorten(name))
	}
	if encrypted(f) {
		return s, refuse(FaultArchive, "entry %q is encrypted", shorten(name))
	}
	e := entry{name: name, size: int64(f.UncompressedSize64), packed: int64(f.CompressedSize64), open: opener(f)}
	if f.Method == zip.Store {
		e.stored = func() ([]byte, error) { return stored(f, code[s.start+localHeaderBytes:s.end:s.end]) }
	}
	return s, a.add(e)
}

// encrypted looks at the flags for traditional and strong encryption, and for a
// masked directory.
func encrypted(f *zip.File) bool { return f.Flags&(1|1<<6|1<<13) != 0 }

// opener names the compression that is unknown, which archive/zip does not.
func opener(f *zip.File) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, err := f.Open()
		if errors.Is(err, zip.ErrAlgorithm) {
			return nil, refuse(FaultArchive, "it is compressed by method %d; only deflate is known", f.Method)
		}
		return r, err
	}
}

func locate(f *zip.File, archiveSize int64) (span, error) {
	start, err := f.DataOffset()
	if err != nil {
		return span{}, err
	}
	if start > archiveSize || f.CompressedSize64 > uint64(archiveSize-start) {
		return span{}, io.ErrUnexpectedEOF
	}
	return span{start - localHeaderBytes, start + int64(f.CompressedSize64)}, nil
}

// stored checks the content of an entry that is not compressed.
func stored(f *zip.File, content []byte) ([]byte, error) {
	if f.UncompressedSize64 != f.CompressedSize64 || crc32.ChecksumIEEE(content) != f.CRC32 {
		return nil, zip.ErrChecksum
	}
	return content, nil
}

// checkOverlap refuses archives whose entries share bytes: no packer writes
// them, and a few kilobytes of them unpack to terabytes.
func checkOverlap(spans []span) error {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end {
			return refuse(FaultArchive, "the archive has overlapping entries")
		}
	}
	return nil
}
