package wazero

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tempName is what the names of temporary directories begin with. One that has it and
// no lock is taken away.
const tempName = "wasmwhisk-loader-"

// tempDir is a temporary directory that is locked while it is in use. The kernel
// lets go of the lock however the process ends, so that what a killed one left
// behind is known. (systemd-tmpfiles does not age out what is locked, either.)
type tempDir struct {
	path string
	lock *os.File // nil where the system has no locks
}

// newTempDir makes a directory below dir, and takes away what others left there.
func newTempDir(dir string) (*tempDir, error) {
	sweep(dir)
	for {
		path, err := os.MkdirTemp(dir, tempName)
		if err != nil {
			return nil, err
		}
		lock, err := lockDir(path)
		switch {
		case err == nil, errors.Is(err, errors.ErrUnsupported):
			return &tempDir{path, lock}, nil
		case !errors.Is(err, errTaken):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), os.Remove(path))
		}
		// Somebody swept before it was locked: it is gone or will be.
	}
}

// sweep takes away the directories that nobody holds. It is no matter if it cannot:
// others may own them.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, tempName+"*"))
	for _, path := range left {
		if lock, err := lockDir(path); err == nil {
			_ = (&tempDir{path, lock}).remove()
		}
	}
}

// remove takes the directory away before it lets go of the lock. It may be called
// twice, and of nil.
func (t *tempDir) remove() error {
	if t == nil {
		return nil
	}
	defer t.lock.Close()
	return os.RemoveAll(t.path)
}

// errTaken means that a directory is locked by somebody else, or gone.
var errTaken = errors.New("directory is taken")
