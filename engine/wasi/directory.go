package wasi

import (
	"os"

	"golang.org/x/sys/unix"
)

// directory is an open directory. Paths that start from it lead nowhere but
// beneath it.
type directory struct {
	root    *os.Root
	mount   *Mount // whose access it has
	self    *os.File
	listing listing
}

func (d *directory) kind() kind { return kindDirectory }

// directoryFlags open a directory. That it should not block spares os.File from
// finding out whether it can be polled.
const directoryFlags = os.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK

// file is the directory itself, opened when it is first needed.
func (d *directory) file() (*os.File, error) {
	if d.self != nil {
		return d.self, nil
	}
	f, err := d.root.OpenFile(".", directoryFlags, 0)
	if err != nil {
		return nil, err
	}
	d.self = f
	return f, nil
}

func (d *directory) stat() (filestat, error) {
	f, err := d.file()
	if err != nil {
		return filestat{}, err
	}
	return fstat(f)
}

// Sync is that of the directory's entries.
func (d *directory) Sync() error {
	f, err := d.file()
	if err != nil {
		return err
	}
	return f.Sync()
}

func (d *directory) setTimes(times [2]unix.Timespec) error {
	if err := d.writable(); err != nil {
		return err
	}
	f, err := d.file()
	if err != nil {
		return err
	}
	return futimens(f, times)
}

// writable is the error of changing anything within a read-only mount.
func (d *directory) writable() error {
	if d.mount.Access == ReadOnly {
		return eROFS
	}
	return nil
}

// close leaves the root of a mount open: it belongs to someone else.
func (d *directory) close() error {
	if d.self != nil {
		defer d.self.Close()
	}
	if d.root == d.mount.Root {
		return nil
	}
	return d.root.Close()
}
