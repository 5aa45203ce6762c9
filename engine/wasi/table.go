package wasi

import (
	"context"

	"wasmwhisk/engine"
)

// descriptor is an entry of a system's table. Its index is the number that the
// guest knows it by.
type descriptor struct {
	file             file // nil: the number is free
	base, inheriting rights
	flags            fdflags
	preopened        bool
}

// file is what a descriptor stands for.
type file interface {
	kind() kind
	stat() (filestat, error)
	close() error
}

// fdflags are the modes of a descriptor.
type fdflags uint16

// The modes of preview1.
const (
	flagAppend fdflags = 1 << iota
	flagDsync
	flagNonblock
	flagRsync
	flagSync

	flagsSync = flagDsync | flagRsync | flagSync
	flagsAll  = flagAppend | flagNonblock | flagsSync
)

// firstFile is the lowest number that the guest is given for what it opens: a
// file never takes the place of a stream that was closed.
const firstFile = 3

// lookup gives the descriptor that is open as fd and carries the rights.
func (s *System) lookup(fd uint32, need rights) (*descriptor, error) {
	if uint64(fd) >= uint64(len(s.fds)) || s.fds[fd].file == nil {
		return nil, eBADF
	}
	if d := &s.fds[fd]; d.base&need == need {
		return d, nil
	}
	return nil, eNOTCAPABLE
}

// fileAs gives the file that is open as fd and carries the rights. If it cannot
// be used as an F, that is an eISDIR for a directory and else the given error.
func fileAs[F any](s *System, fd uint32, need rights, otherwise errno) (F, *descriptor, error) {
	var none F
	d, err := s.lookup(fd, 0)
	if err != nil {
		return none, nil, err
	}
	f, ok := d.file.(F)
	if !ok && d.file.kind() == kindDirectory {
		return none, nil, eISDIR
	}
	if !ok {
		return none, nil, otherwise
	}
	if d.base&need != need {
		return none, nil, eNOTCAPABLE
	}
	return f, d, nil
}

func (s *System) regular(fd uint32, need rights) (*regular, error) {
	f, _, err := fileAs[*regular](s, fd, need, eSPIPE)
	return f, err
}

func (s *System) directory(fd uint32, need rights) (*directory, error) {
	f, _, err := fileAs[*directory](s, fd, need, eNOTDIR)
	return f, err
}

// free is the lowest number that is free for a new file.
func (s *System) free() (uint32, error) {
	for fd := firstFile; fd < len(s.fds); fd++ {
		if s.fds[fd].file == nil {
			return uint32(fd), nil
		}
	}
	if len(s.fds) >= maxFiles {
		return 0, eMFILE
	}
	for len(s.fds) < firstFile {
		s.fds = append(s.fds, descriptor{})
	}
	s.fds = append(s.fds, descriptor{})
	return uint32(len(s.fds) - 1), nil
}

func (s *System) fdClose(_ context.Context, _ engine.Memory, a args) error {
	d, err := s.lookup(a.u32(0), 0)
	if err != nil {
		return err
	}
	f := d.file
	*d = descriptor{}
	return f.close()
}

// fdRenumber moves a descriptor over another that is open, streams and preopened
// directories included.
func (s *System) fdRenumber(_ context.Context, _ engine.Memory, a args) error {
	from, err := s.lookup(a.u32(0), 0)
	if err != nil {
		return err
	}
	to, err := s.lookup(a.u32(1), 0)
	if err != nil || from == to {
		return err
	}
	replaced := to.file
	*to, *from = *from, descriptor{}
	return replaced.close()
}

func (s *System) fdFilestatGet(_ context.Context, mem engine.Memory, a args) error {
	d, err := s.lookup(a.u32(0), rightFdFilestatGet)
	if err != nil {
		return err
	}
	st, err := d.file.stat()
	if err != nil {
		return err
	}
	return st.put(mem, a.u32(1))
}

func (s *System) fdFdstatGet(_ context.Context, mem engine.Memory, a args) error {
	d, err := s.lookup(a.u32(0), 0)
	if err != nil {
		return err
	}
	return d.putFdstat(mem, a.u32(1))
}

func (s *System) fdFdstatSetFlags(_ context.Context, _ engine.Memory, a args) error {
	flags := fdflags(a.u32(1))
	if a.u32(1) > uint32(flagsAll) {
		return eINVAL
	}
	d, err := s.lookup(a.u32(0), rightFdFdstatSetFlags)
	if err != nil {
		return err
	}
	if (flags^d.flags)&flagsSync != 0 {
		return eNOTSUP
	}
	return d.setFlags(flags)
}

func (d *descriptor) setFlags(flags fdflags) error {
	if f, ok := d.file.(*regular); ok {
		if err := f.setAppend(flags&flagAppend != 0); err != nil {
			return err
		}
	}
	d.flags = flags
	return nil
}

// fdFdstatSetRights only ever takes rights away.
func (s *System) fdFdstatSetRights(_ context.Context, _ engine.Memory, a args) error {
	d, err := s.lookup(a.u32(0), 0)
	if err != nil {
		return err
	}
	base, inheriting := rights(a[1]), rights(a[2])
	if base&^d.base != 0 || inheriting&^d.inheriting != 0 {
		return eNOTCAPABLE
	}
	d.base, d.inheriting = base, inheriting
	return nil
}

// What fd_prestat_get says a descriptor is. Guests look for preopened
// directories from fd 3 on until they find a number that is not open, so that
// the result stream there must be something, though not a directory.
const (
	prestatDirectory = 0
	prestatStream    = 1
)

func (s *System) fdPrestatGet(_ context.Context, mem engine.Memory, a args) error {
	if d, err := s.lookup(a.u32(0), 0); err == nil && d.file == &s.result {
		return putPrestat(mem, a.u32(1), prestatStream, "")
	}
	name, err := s.preopen(a.u32(0))
	if err != nil {
		return err
	}
	return putPrestat(mem, a.u32(1), prestatDirectory, name)
}

func putPrestat(mem engine.Memory, ptr uint32, tag byte, name string) error {
	b, err := mem.Range(ptr, sizePrestat)
	if err != nil {
		return err
	}
	clear(b)
	b[0] = tag
	return mem.PutUint32(ptr+4, uint32(len(name)))
}

func (s *System) fdPrestatDirName(_ context.Context, mem engine.Memory, a args) error {
	name, err := s.preopen(a.u32(0))
	if err != nil {
		return err
	}
	if uint64(a.u32(2)) < uint64(len(name)) {
		return eNAMETOOLONG
	}
	b, err := mem.Range(a.u32(1), uint32(len(name)))
	if err != nil {
		return err
	}
	copy(b, name)
	return nil
}

// preopen is the path of the mount that is open as fd.
func (s *System) preopen(fd uint32) (string, error) {
	d, err := s.lookup(fd, 0)
	if err != nil {
		return "", err
	}
	if !d.preopened {
		return "", eBADF
	}
	return d.file.(*directory).mount.Guest, nil
}
