package wasi

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// oflags say how path_open opens.
type oflags uint32

// The flags of preview1.
const (
	openCreate oflags = 1 << iota
	openDirectory
	openExclusive
	openTruncate

	openAll = openCreate | openDirectory | openExclusive | openTruncate
)

// request is what a guest asks of path_open.
type request struct {
	follow           bool
	oflags           oflags
	base, inheriting rights
	flags            fdflags
}

// request decodes the parameters of path_open, the path apart.
func (a args) request() (request, error) {
	lookup, of, fdf := a.u32(1), a.u32(4), a.u32(7)
	if lookup > lookupFollow || of > uint32(openAll) || fdf > uint32(flagsAll) {
		return request{}, eINVAL
	}
	return request{
		follow:     lookup == lookupFollow,
		oflags:     oflags(of),
		base:       rights(a[5]),
		inheriting: rights(a[6]),
		flags:      fdflags(fdf),
	}, nil
}

func (r request) has(flag oflags) bool { return r.oflags&flag != 0 }
func (r request) writes() bool         { return r.base&rightFdWrite != 0 }

// needs are the rights that a directory must carry for the request.
func (r request) needs() rights {
	need := rightPathOpen
	if r.has(openCreate) {
		need |= rightPathCreateFile
	}
	if r.has(openTruncate) {
		need |= rightPathFilestatSetSize
	}
	return need
}

func (s *System) pathOpen(ctx context.Context, mem engine.Memory, a args) error {
	r, err := a.request()
	if err != nil {
		return err
	}
	path, err := a.path(mem, 2)
	if err != nil {
		return err
	}
	if _, err := mem.Range(a.u32(8), 4); err != nil {
		return err
	}
	fd, err := s.open(ctx, a.u32(0), path, r)
	if err != nil {
		return err
	}
	return mem.PutUint32(a.u32(8), fd)
}

// open opens the path, which starts from dir, under a number of its own.
func (s *System) open(ctx context.Context, dir uint32, path string, r request) (uint32, error) {
	fd, err := s.free()
	if err != nil {
		return 0, err
	}
	d, parent, err := fileAs[*directory](s, dir, r.needs(), eNOTDIR)
	if err != nil {
		return 0, err
	}
	if r.base&^parent.inheriting&(rightFdRead|rightFdWrite) != 0 {
		return 0, eNOTCAPABLE
	}
	f, err := d.open(ctx, path, r)
	if err != nil {
		return 0, err
	}
	opened := descriptor{file: f, flags: r.flags}
	opened.base, opened.inheriting = grant(f, r.base, r.inheriting, parent.inheriting)
	s.fds[fd] = opened
	return fd, nil
}

func (d *directory) open(ctx context.Context, path string, r request) (file, error) {
	p, err := d.resolve(ctx, path, r.follow && !r.has(openExclusive))
	if err != nil {
		return nil, err
	}
	defer p.release()
	if !p.exists {
		return p.create(r)
	}
	if r.has(openCreate) && r.has(openExclusive) {
		return nil, eEXIST
	}
	switch p.kind() {
	case kindDirectory:
		return p.openDirectory(r)
	case kindRegular:
		return p.openExisting(r)
	case kindSymlink:
		return nil, eLOOP
	}
	return nil, eACCES // a FIFO, a socket or a device
}

func (p *place) create(r request) (file, error) {
	if !r.has(openCreate) {
		return nil, eNOENT
	}
	if r.has(openDirectory) || p.slash {
		return nil, eINVAL
	}
	if err := p.in.writable(); err != nil {
		return nil, err
	}
	return p.openRegular(r)
}

func (p *place) openExisting(r request) (file, error) {
	if r.has(openDirectory) || p.slash {
		return nil, eNOTDIR
	}
	if r.writes() || r.has(openTruncate) {
		if err := p.in.writable(); err != nil {
			return nil, err
		}
	}
	return p.openRegular(r)
}

// openRegular opens a file that is regular as far as is known. What else may
// have taken its place meanwhile does not block and is closed again.
func (p *place) openRegular(r request) (file, error) {
	opened, err := p.in.root.OpenFile(p.path, r.hostFlags(), 0o666)
	if err != nil {
		return nil, confined(err)
	}
	f := &regular{File: opened, mount: p.in.mount}
	if err := f.prepare(r.flags); err != nil {
		opened.Close()
		return nil, err
	}
	return f, nil
}

// prepare checks that the file is regular. Append mode is set here because
// os.File refuses to write at an offset where it knows of it.
func (f *regular) prepare(flags fdflags) error {
	st, err := f.stat()
	if err != nil {
		return err
	}
	if st.kind != kindRegular {
		return eACCES
	}
	if flags&flagAppend == 0 {
		return nil
	}
	return f.setAppend(true)
}

func (r request) hostFlags() int {
	flags := unix.O_NONBLOCK | unix.O_NOCTTY
	switch {
	case r.writes() && r.base&rightFdRead != 0:
		flags |= os.O_RDWR
	case r.writes():
		flags |= os.O_WRONLY
	}
	return flags | hostBits(r.oflags, hostOflags[:]) | hostBits(r.flags, hostFdflags[:])
}

// The host's flags for each bit of the guest's, from the lowest. What is to be
// synchronised in part is so in whole; append and non-blocking mode are not the
// host's business when a file is opened.
var (
	hostOflags  = [...]int{os.O_CREATE, 0, os.O_EXCL, os.O_TRUNC}
	hostFdflags = [...]int{0, unix.O_SYNC, 0, unix.O_SYNC, unix.O_SYNC}
)

func hostBits[F oflags | fdflags](flags F, host []int) (bits int) {
	for i, h := range host {
		if flags>>i&1 != 0 {
			bits |= h
		}
	}
	return bits
}

// openDirectory opens a directory as a root of its own. The dot makes that fail,
// and not block, if a FIFO has taken its place meanwhile.
func (p *place) openDirectory(r request) (file, error) {
	if r.writes() || r.has(openCreate|openTruncate) {
		return nil, eISDIR
	}
	root, err := p.in.root.OpenRoot(p.path + "/.")
	if err != nil {
		return nil, confined(err)
	}
	return &directory{root: root, mount: p.in.mount}, nil
}
