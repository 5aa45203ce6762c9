package precompile

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// isTar looks for the magic of every tar since 1988.
func isTar(code []byte) bool {
	return len(code) >= tarBlock && string(code[257:262]) == "ustar"
}

const tarBlock = 512

// tarSource gives the bytes of a tar from its start. It is read twice, once for
// the list and once for the module, rather than kept in memory.
type tarSource struct {
	open   func() (io.Reader, error)
	packed int64
}

func plainTar(code []byte) tarSource {
	return tarSource{
		open:   func() (io.Reader, error) { return bytes.NewReader(code), nil },
		packed: int64(len(code)),
	}
}

// intakeGzip takes in a gzipped module, or a gzipped tar.
func intakeGzip(code []byte, limits Limits) (Action, error) {
	packed := int64(len(code))
	open := func() (io.Reader, error) {
		r, err := gzip.NewReader(bytes.NewReader(code))
		return &cappedReader{r: r, limit: min(limits.TotalBytes, limits.unpacked(packed))}, err
	}
	r, err := open()
	if err != nil {
		return Action{}, corrupt(err)
	}
	head := make([]byte, tarBlock)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Action{}, corrupt(err)
	}
	if isTar(head[:n]) {
		return intakeTar(tarSource{open, packed}, limits)
	}
	return intakeSingle(io.MultiReader(bytes.NewReader(head[:n]), r), packed, limits)
}

func intakeSingle(r io.Reader, packed int64, limits Limits) (Action, error) {
	binary, err := readBounded(r, 4*packed, min(limits.BinaryBytes, limits.unpacked(packed)), nil)
	if err != nil {
		return Action{}, corrupt(err)
	}
	return Action{Binary: binary.bytes, Hash: binary.hash}, checkModule(binary.bytes)
}

func intakeTar(src tarSource, limits Limits) (Action, error) {
	a, err := listTar(src, limits)
	if err != nil {
		return Action{}, corrupt(err)
	}
	return a.action(nil)
}

func listTar(src tarSource, limits Limits) (*archive, error) {
	r, err := src.open()
	if err != nil {
		return nil, err
	}
	a := newArchive(limits)
	for tr, i := tar.NewReader(r), 0; ; i++ {
		h, err := tr.Next()
		if err == io.EOF {
			return a, drain(r)
		}
		if err != nil {
			return nil, err
		}
		if err := a.addTar(h, src, i); err != nil {
			return nil, err
		}
	}
}

// drain reads on to the checksum, which follows the last entry.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (a *archive) addTar(h *tar.Header, src tarSource, index int) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := a.admit(h.Name)
	if err != nil || h.Typeflag == tar.TypeDir {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return refuse(FaultArchive, "entry %q is a link or device; only files are taken", shorten(name))
	}
	return a.add(entry{name: name, size: h.Size, packed: src.packed, open: func() (io.ReadCloser, error) { return src.entry(index) }})
}

// entry goes through the tar again, up to the content of an entry.
func (s tarSource) entry(index int) (io.ReadCloser, error) {
	r, err := s.open()
	if err != nil {
		return nil, err
	}
	tr := tar.NewReader(r)
	for range index + 1 {
		if _, err := tr.Next(); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(tr), nil
}

// cappedReader fails once more than limit bytes have come.
type cappedReader struct {
	r           io.Reader
	limit, seen int64
}

func (c *cappedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.seen += int64(n); c.seen > c.limit {
		return 0, bomb(c.limit)
	}
	return n, err
}
