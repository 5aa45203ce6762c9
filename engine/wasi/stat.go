package wasi

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// kind is the type of a file.
type kind uint8

// The kinds of preview1 that a guest can meet here. A stream that is not a
// terminal has no kind of its own.
const (
	kindUnknown   kind = 0
	kindBlock     kind = 1
	kindCharacter kind = 2
	kindDirectory kind = 3
	kindRegular   kind = 4
	kindSocket    kind = 6
	kindSymlink   kind = 7
)

// kindOfMode translates the type bits of a host file.
func kindOfMode(mode uint32) kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return kindDirectory
	case unix.S_IFREG:
		return kindRegular
	case unix.S_IFLNK:
		return kindSymlink
	case unix.S_IFCHR:
		return kindCharacter
	case unix.S_IFBLK:
		return kindBlock
	case unix.S_IFSOCK:
		return kindSocket
	}
	return kindUnknown
}

// kindOfStream tells a terminal from everything else. Guests take any character
// device for a terminal, so that only terminals must be one.
func kindOfStream(stream any) kind {
	f, ok := stream.(*os.File)
	if !ok {
		return kindUnknown
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return kindUnknown
	}
	found := kindUnknown
	_ = conn.Control(func(fd uintptr) {
		if _, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			found = kindCharacter
		}
	})
	return found
}

// filestat is what preview1 tells about a file. Times are in nanoseconds since
// 1970.
type filestat struct {
	dev, ino                         uint64
	kind                             kind
	nlink, size, atime, mtime, ctime uint64
}

func filestatOf(st *unix.Stat_t) filestat {
	return filestat{
		dev:   uint64(st.Dev),
		ino:   uint64(st.Ino),
		kind:  kindOfMode(uint32(st.Mode)),
		nlink: uint64(st.Nlink),
		size:  uint64(st.Size),
		atime: uint64(st.Atim.Nano()),
		mtime: uint64(st.Mtim.Nano()),
		ctime: uint64(st.Ctim.Nano()),
	}
}

// fstat is the filestat of an open file.
func fstat(f *os.File) (filestat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(int(f.Fd()), &st) })
	if err != nil {
		return filestat{}, err
	}
	return filestatOf(&st), nil
}

// again repeats a system call for as long as signals interrupt it.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (st filestat) put(mem engine.Memory, ptr uint32) error {
	b, err := mem.Range(ptr, sizeFilestat)
	if err != nil {
		return err
	}
	words := [...]uint64{st.dev, st.ino, uint64(st.kind), st.nlink, st.size, st.atime, st.mtime, st.ctime}
	for i, word := range words {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	return nil
}

func (d *descriptor) putFdstat(mem engine.Memory, ptr uint32) error {
	b, err := mem.Range(ptr, sizeFdstat)
	if err != nil {
		return err
	}
	clear(b)
	b[0] = byte(d.file.kind())
	binary.LittleEndian.PutUint16(b[2:], uint16(d.flags))
	binary.LittleEndian.PutUint64(b[8:], uint64(d.base))
	binary.LittleEndian.PutUint64(b[16:], uint64(d.inheriting))
	return nil
}
