package wasi

import (
	"context"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// lookupFollow tells to follow a link that is the last component of a path.
const lookupFollow = 1

// named is the place of a path, links not followed: parameter fd is a directory,
// and the path is parameters path and path+1.
func (s *System) named(mem engine.Memory, a args, fd, path int, need rights) (*place, error) {
	d, err := s.directory(a.u32(fd), need)
	if err != nil {
		return nil, err
	}
	text, err := a.path(mem, path)
	if err != nil {
		return nil, err
	}
	return d.locate(text)
}

// changed is named for a place that the caller is about to change.
func (s *System) changed(mem engine.Memory, a args, fd, path int, need rights) (*place, error) {
	p, err := s.named(mem, a, fd, path, need)
	if err != nil {
		return nil, err
	}
	if err := p.in.writable(); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// existing is the place of something that exists. Parameters 0 to 3 are a
// directory, lookup flags, and a path.
func (s *System) existing(ctx context.Context, mem engine.Memory, a args, need rights) (*place, error) {
	d, err := s.directory(a.u32(0), need)
	if err != nil {
		return nil, err
	}
	if a.u32(1) > lookupFollow {
		return nil, eINVAL
	}
	path, err := a.path(mem, 2)
	if err != nil {
		return nil, err
	}
	p, err := d.resolve(ctx, path, a.u32(1) == lookupFollow)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// check is the error of using a place that must be there, and be a directory if
// its path ended in a slash.
func (p *place) check() error {
	if !p.exists {
		return eNOENT
	}
	if p.slash && !p.isDir() {
		return eNOTDIR
	}
	return nil
}

// vacant is the error of making anything but a directory at p.
func (p *place) vacant() error {
	if p.exists {
		return eEXIST
	}
	if p.slash {
		return eNOENT
	}
	return nil
}

func (s *System) pathFilestatGet(ctx context.Context, mem engine.Memory, a args) error {
	p, err := s.existing(ctx, mem, a, rightPathFilestatGet)
	if err != nil {
		return err
	}
	defer p.release()
	return filestatOf(&p.status).put(mem, a.u32(4))
}

func (s *System) pathFilestatSetTimes(ctx context.Context, mem engine.Memory, a args) error {
	times, err := a.times(4)
	if err != nil {
		return err
	}
	p, err := s.existing(ctx, mem, a, rightPathFilestatSetTimes)
	if err != nil {
		return err
	}
	defer p.release()
	if err := p.in.writable(); err != nil {
		return err
	}
	return again(func() error {
		return unix.UtimesNanoAt(p.dirfd(), p.name, times[:], unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (s *System) pathCreateDirectory(_ context.Context, mem engine.Memory, a args) error {
	p, err := s.changed(mem, a, 0, 1, rightPathCreateDirectory)
	if err != nil {
		return err
	}
	defer p.release()
	return again(func() error { return unix.Mkdirat(p.dirfd(), p.name, 0o777) })
}

func (s *System) pathRemoveDirectory(_ context.Context, mem engine.Memory, a args) error {
	p, err := s.changed(mem, a, 0, 1, rightPathRemoveDirectory)
	if err != nil {
		return err
	}
	defer p.release()
	return again(func() error { return unix.Unlinkat(p.dirfd(), p.name, unix.AT_REMOVEDIR) })
}

func (s *System) pathUnlinkFile(_ context.Context, mem engine.Memory, a args) error {
	p, err := s.changed(mem, a, 0, 1, rightPathUnlinkFile)
	if err != nil {
		return err
	}
	defer p.release()
	if err := p.check(); err != nil {
		return err
	}
	if p.isDir() {
		return eISDIR
	}
	return again(func() error { return unix.Unlinkat(p.dirfd(), p.name, 0) })
}

func (s *System) pathRename(_ context.Context, mem engine.Memory, a args) error {
	from, err := s.changed(mem, a, 0, 1, rightPathRenameSource)
	if err != nil {
		return err
	}
	defer from.release()
	to, err := s.changed(mem, a, 3, 4, rightPathRenameTarget)
	if err != nil {
		return err
	}
	defer to.release()
	return from.rename(to)
}

func (p *place) rename(to *place) error {
	if p.in.mount != to.in.mount {
		return eXDEV
	}
	if err := p.check(); err != nil {
		return err
	}
	if to.slash && !p.isDir() {
		return eNOTDIR
	}
	return again(func() error { return unix.Renameat(p.dirfd(), p.name, to.dirfd(), to.name) })
}

// pathLink refuses to link what a link leads to, as other hosts do, and to link
// from one mount into another: that could make a file writable that was not.
func (s *System) pathLink(_ context.Context, mem engine.Memory, a args) error {
	if a.u32(1) != 0 {
		return eINVAL
	}
	from, err := s.changed(mem, a, 0, 2, rightPathLinkSource)
	if err != nil {
		return err
	}
	defer from.release()
	to, err := s.changed(mem, a, 4, 5, rightPathLinkTarget)
	if err != nil {
		return err
	}
	defer to.release()
	return from.link(to)
}

func (p *place) link(to *place) error {
	if p.in.mount != to.in.mount {
		return eXDEV
	}
	if err := p.check(); err != nil {
		return err
	}
	if err := to.vacant(); err != nil {
		return err
	}
	return again(func() error { return unix.Linkat(p.dirfd(), p.name, to.dirfd(), to.name, 0) })
}

// pathSymlink refuses a link that leads out of where its path starts. No guest
// could follow it, but someone on the host might.
func (s *System) pathSymlink(_ context.Context, mem engine.Memory, a args) error {
	target, err := a.text(mem, 0, maxTarget)
	if err != nil {
		return err
	}
	p, err := s.changed(mem, a, 2, 3, rightPathSymlink)
	if err != nil {
		return err
	}
	defer p.release()
	if leadsOut(p.path, target) {
		return eNOTCAPABLE
	}
	if err := p.vacant(); err != nil {
		return err
	}
	return again(func() error { return unix.Symlinkat(target, p.dirfd(), p.name) })
}

// pathReadlink gives as much of the target as there is room for.
func (s *System) pathReadlink(_ context.Context, mem engine.Memory, a args) error {
	room, err := mem.Range(a.u32(3), a.u32(4))
	if err != nil {
		return err
	}
	p, err := s.named(mem, a, 0, 1, rightPathReadlink)
	if err != nil {
		return err
	}
	defer p.release()
	if err := p.check(); err != nil {
		return err
	}
	target, err := p.readlink()
	if err != nil {
		return err
	}
	return mem.PutUint32(a.u32(5), uint32(copy(room, target)))
}
