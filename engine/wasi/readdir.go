package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"unicode/utf8"

	"wasmwhisk/engine"
)

// batch is how many entries of a directory are held at a time.
const batch = 128

// entry is one name in a directory.
type entry struct {
	name string
	ino  uint64
	kind kind
}

// listing is a window on the entries of a directory as they come from the host.
// A cookie is the number of an entry; the window moves on as a guest reads, and
// starts over when it goes back.
type listing struct {
	first   uint64 // the cookie of entries[0]
	entries []entry
	ended   bool // nothing follows the entries
}

// at moves the window until it holds the entry of the cookie, and reports
// whether there is one.
func (l *listing) at(ctx context.Context, d *directory, cookie uint64) (bool, error) {
	if cookie < l.first || l.entries == nil {
		if err := l.rewind(d); err != nil {
			return false, err
		}
	}
	for cookie-l.first >= uint64(len(l.entries)) && !l.ended {
		if ctx.Err() != nil {
			return false, interrupted(ctx)
		}
		if err := l.advance(d); err != nil {
			return false, err
		}
	}
	return cookie-l.first < uint64(len(l.entries)), nil
}

// rewind moves the window to the two entries that the host leaves out. The inode
// of the second is not the guest's to know, and 0 says so.
func (l *listing) rewind(d *directory) error {
	f, err := d.file()
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	st, err := fstat(f)
	if err != nil {
		return err
	}
	*l = listing{entries: []entry{{".", st.ino, kindDirectory}, {"..", 0, kindDirectory}}}
	return nil
}

// advance moves the window to the next batch.
func (l *listing) advance(d *directory) error {
	found, err := d.self.ReadDir(batch)
	l.ended = errors.Is(err, io.EOF)
	if err != nil && !l.ended {
		return err
	}
	l.first += uint64(len(l.entries))
	l.entries = l.entries[:0]
	for _, e := range found {
		if utf8.ValidString(e.Name()) { // else the guest has no word for it
			l.entries = append(l.entries, entryOf(e))
		}
	}
	return nil
}

func entryOf(e os.DirEntry) entry {
	listed := entry{name: e.Name(), kind: kindOfFileMode(e.Type())}
	if info, err := e.Info(); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			listed.ino = st.Ino
		}
	}
	return listed
}

func kindOfFileMode(mode fs.FileMode) kind {
	switch mode.Type() {
	case 0:
		return kindRegular
	case fs.ModeDir:
		return kindDirectory
	case fs.ModeSymlink:
		return kindSymlink
	case fs.ModeDevice:
		return kindBlock
	case fs.ModeDevice | fs.ModeCharDevice:
		return kindCharacter
	case fs.ModeSocket:
		return kindSocket
	}
	return kindUnknown
}

// fdReaddir fills the buffer, to the brim if there are enough entries: the last
// may be cut off, and the guest asks for it again.
func (s *System) fdReaddir(ctx context.Context, mem engine.Memory, a args) error {
	d, err := s.directory(a.u32(0), rightFdReaddir)
	if err != nil {
		return err
	}
	b, err := mem.Range(a.u32(1), a.u32(2))
	if err != nil {
		return err
	}
	if _, err := mem.Range(a.u32(4), 4); err != nil {
		return err
	}
	n, err := d.list(ctx, b, a[3])
	if err != nil {
		return err
	}
	return mem.PutUint32(a.u32(4), uint32(n))
}

// list writes the entries from the cookie on, and gives how many bytes that are.
func (d *directory) list(ctx context.Context, b []byte, cookie uint64) (n int, err error) {
	for n < len(b) {
		found, err := d.listing.at(ctx, d, cookie)
		if err != nil {
			return n, err
		}
		if !found {
			return n, nil
		}
		e := &d.listing.entries[cookie-d.listing.first]
		cookie++
		n += e.put(b[n:], cookie)
	}
	return n, nil
}

// put writes as much of the entry as there is room for.
func (e *entry) put(b []byte, next uint64) int {
	var head [sizeDirent]byte
	binary.LittleEndian.PutUint64(head[0:], next)
	binary.LittleEndian.PutUint64(head[8:], e.ino)
	binary.LittleEndian.PutUint32(head[16:], uint32(len(e.name)))
	head[20] = byte(e.kind)
	n := copy(b, head[:])
	return n + copy(b[n:], e.name)
}
