//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"wasmwhisk/whisk/store"
)

// lockDir makes dir this process's for as long as the file is open. The kernel
// lets go of it however the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(heldBy(f, dir, err), f.Close())
	}
	return f, sign(f)
}

// heldBy names the process that has the lock, when it has written who it is.
func heldBy(f *os.File, dir string, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	holder, _ := io.ReadAll(io.LimitReader(f, 32))
	return fmt.Errorf("%s: %w (pid %s)", dir, store.ErrInUse, strings.TrimSpace(string(holder)))
}

// sign writes who holds the lock.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}
