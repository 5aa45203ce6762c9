//go:build unix

package wazero

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lockDir locks a directory for as long as the file is open. The error is errTaken,
// [errors.ErrUnsupported], or another.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil && inPlace(f, path):
		return f, nil
	case err == nil, errors.Is(err, unix.EWOULDBLOCK):
		err = errTaken
	default: // the file system has no locks
		err = errors.ErrUnsupported
	}
	_ = f.Close()
	return nil, err
}

// inPlace tells whether the name of a file that is open still leads to it: who had
// its lock before may have removed it.
func inPlace(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}
