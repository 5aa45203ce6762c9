//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wasmwhisk/whisk/store"
)

// lockDir makes dir this process's for as long as the file is open. The kernel
// lets go of it however the process ends.
func lockDir(ctx context.Context, dir string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f, patience); err != nil {
		return nil, errors.Join(heldBy(f, dir, err), f.Close())
	}
	return f, sign(f)
}

// flock tries again for as long as patience lasts.
func flock(ctx context.Context, f *os.File, patience time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(until) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
