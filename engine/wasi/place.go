package wasi

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the links followed for the last component of a path, as
// [os.Root] does for those before it.
const maxLinks = 8

// place is where a path leads: a name in a directory that is held open. The name
// is a single component, so that the kernel resolves nothing but it, and every
// call on it is one that does not follow links.
type place struct {
	in     *directory // that the path started from
	parent *os.File   // that holds the name
	name   string
	path   string // from in, links of the last component resolved
	slash  bool   // the path ended in one: it means a directory
	exists bool
	status unix.Stat_t // of what exists
}

func (p *place) release() {
	if p.parent != p.in.self {
		p.parent.Close()
	}
}

func (p *place) kind() kind  { return kindOfMode(uint32(p.status.Mode)) } //nolint:unconvert // a uint16 elsewhere
func (p *place) dirfd() int  { return int(p.parent.Fd()) }
func (p *place) isDir() bool { return p.exists && p.kind() == kindDirectory }

// resolve finds the place that path leads to from d. If that is a link, it is
// followed only if follow says so. Every link can take as long as a path of the
// guest's making can, so that each is a chance to stop.
func (d *directory) resolve(ctx context.Context, path string, follow bool) (*place, error) {
	for range maxLinks + 1 {
		if ctx.Err() != nil {
			return nil, interrupted(ctx)
		}
		p, err := d.locate(path)
		if err != nil {
			return nil, err
		}
		if !p.exists || p.kind() != kindSymlink || !follow && !p.slash {
			return p, nil
		}
		target, err := p.redirect()
		p.release()
		switch {
		case err == nil:
			path = target
		case !errors.Is(err, unix.EINVAL): // which says that it is no link any more
			return nil, err
		}
	}
	return nil, eLOOP
}

// locate is resolve without following a link in the last component.
func (d *directory) locate(path string) (*place, error) {
	parent, name, slash := split(path)
	p := &place{in: d, name: name, path: join(parent, name), slash: slash}
	var err error
	if p.parent, err = d.openParent(parent); err != nil {
		return nil, err
	}
	err = again(func() error { return unix.Fstatat(p.dirfd(), name, &p.status, unix.AT_SYMLINK_NOFOLLOW) })
	p.exists = err == nil
	if err != nil && !errors.Is(err, unix.ENOENT) {
		p.release()
		return nil, err
	}
	return p, nil
}

// openParent opens the directory that holds the last component of a path. It is
// here that os.Root keeps the guest in: an error of its own, without an errno,
// is that the path leads out.
func (d *directory) openParent(path string) (*os.File, error) {
	if path == "" {
		return d.file()
	}
	f, err := d.root.OpenFile(path, directoryFlags, 0)
	return f, confined(err)
}

// confined is an error of os.Root. One without an errno says that a path leads
// out of the root.
func confined(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[unix.Errno](err); ok {
		return err
	}
	return eNOTCAPABLE
}

// redirect is the path that the link at p stands for.
func (p *place) redirect() (string, error) {
	target, err := p.readlink()
	if err != nil {
		return "", err
	}
	if target == "" {
		return "", eNOENT
	}
	if target[0] == '/' {
		return "", eNOTCAPABLE
	}
	if p.slash {
		target += "/"
	}
	parent, _, _ := split(p.path)
	if len(parent)+len(target) > 2*maxPath {
		return "", eNAMETOOLONG
	}
	return join(parent, target), nil
}

// readlink is the target of the link at p. A longer one than a guest could make
// is an error.
func (p *place) readlink() (string, error) {
	b := make([]byte, maxPath)
	var n int
	err := again(func() (err error) {
		n, err = unix.Readlinkat(p.dirfd(), p.name, b)
		return err
	})
	if err != nil {
		return "", err
	}
	if n == len(b) {
		return "", eNAMETOOLONG
	}
	return string(b[:n]), nil
}

// split takes the last component off a path. It is "." if the path ends in a
// component that only leads elsewhere.
func split(path string) (parent, name string, slash bool) {
	trimmed := strings.TrimRight(path, "/")
	slash = len(trimmed) < len(path)
	i := strings.LastIndexByte(trimmed, '/')
	parent, name = strings.TrimRight(trimmed[:i+1], "/"), trimmed[i+1:]
	if name == ".." {
		return trimmed, ".", slash
	}
	return parent, name, slash
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// leadsOut tells whether a link at the path would, by the text of it, lead out of
// where the path starts.
func leadsOut(at, target string) bool {
	parent, _, _ := split(at)
	to := path.Join(parent, target)
	return target[0] == '/' || to == ".." || strings.HasPrefix(to, "../")
}
