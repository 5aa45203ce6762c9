package precompile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// disk is what the cache does to its directory, so that tests can make the n-th
// step fail.
type disk interface {
	mkdir(path string) error
	writeFile(path string, content []byte) error
	rename(from, to string) error
	removeAll(path string) error
}

type osDisk struct{}

func (osDisk) mkdir(path string) error                  { return os.Mkdir(path, 0o700) }
func (osDisk) writeFile(path string, text []byte) error { return os.WriteFile(path, text, 0o600) }
func (osDisk) rename(from, to string) error             { return os.Rename(from, to) }
func (osDisk) removeAll(path string) error              { return os.RemoveAll(path) }

// makePrivate makes dir if need be, and refuses one into which anyone else
// could have put native code.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make artefact cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("make artefact cache: %w", err)
	}
	if err := checkPrivate(info); err != nil {
		return fmt.Errorf("artefact cache %s holds native code and must be ours alone: %w", dir, err)
	}
	return nil
}

func checkPrivate(info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int64(stat.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("it belongs to user %d, we are user %d", stat.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others can write it (mode %v)", info.Mode().Perm())
	}
	return nil
}
