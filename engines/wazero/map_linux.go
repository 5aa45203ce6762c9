package wazero

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps zeros that take no RAM until they are written. They are private
// to this process and not counted by the kernel's heuristic overcommit.
func reserve(n int) ([]byte, error) {
	base, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory: %w", n, err)
	}
	// A huge page would make one written byte two megabytes to put back. Kernels
	// without huge pages refuse the advice.
	_ = unix.Madvise(base, unix.MADV_NOHUGEPAGE)
	return base, nil
}

// unreserve cannot fail for what reserve gave.
func unreserve(base []byte) { _ = unix.Munmap(base) }

// discard gives the pages of b back to the system.
func discard(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }

// imageFile holds contents where they can be mapped from, without a name.
type imageFile struct {
	fd   int
	data []byte // all of it, read-only
}

// newImageFile copies contents into memory that can only be read from then on.
func newImageFile(contents []byte) (_ *imageFile, err error) {
	fd, err := unix.MemfdCreate("wasmwhisk-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := &imageFile{fd: fd}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if err := f.write(contents); err != nil {
		return nil, err
	}
	f.data, err = unix.Mmap(fd, 0, roundUp(len(contents)), unix.PROT_READ, unix.MAP_SHARED)
	return f, err
}

// openImageFile gives the contents of a file that nobody changes, and how many bytes
// they are. It may be removed then.
func openImageFile(path string) (_ *imageFile, size int, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, err
	}
	f := &imageFile{fd: fd}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, 0, err
	}
	f.data, err = unix.Mmap(fd, 0, roundUp(int(info.Size)), unix.PROT_READ, unix.MAP_SHARED)
	return f, int(info.Size), err
}

// write leaves pages of zeros out: they take no RAM then.
func (f *imageFile) write(contents []byte) error {
	if err := unix.Ftruncate(f.fd, int64(roundUp(len(contents)))); err != nil {
		return err
	}
	for from, to := nextWritten(contents, 0); from < to; from, to = nextWritten(contents, to) {
		n, err := unix.Pwrite(f.fd, contents[from:to], int64(from))
		if err != nil {
			return err
		}
		to = from + n
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, seals)
	return err
}

func roundUp(n int) int {
	page := os.Getpagesize()
	return (n + page - 1) / page * page
}

func (f *imageFile) view() []byte { return f.data }

// ReadAt leaves pages alone that nobody has read: a file that is mapped gets one for each
// that is.
func (f *imageFile) ReadAt(p []byte, at int64) (int, error) { return unix.Pread(f.fd, p, at) }

// mapInto lays the contents over the start of a reservation. What is written
// there goes to pages of its own.
func (f *imageFile) mapInto(base []byte) error {
	_, err := unix.MmapPtr(f.fd, 0, unsafe.Pointer(unsafe.SliceData(base)), uintptr(len(f.data)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map memory image: %w", err)
	}
	return nil
}

// close drops the file. What is mapped stays.
func (f *imageFile) close() {
	if f.data != nil {
		_ = unix.Munmap(f.data)
	}
	_ = unix.Close(f.fd)
}

// mapCode has a file take the place of code, which a whole mapping begins with. The
// page tables are filled at once; a guest would fault its way through them. Where files must not be executed nothing happens but the error.
func mapCode(code []byte, f *os.File) error {
	_, err := unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(unsafe.SliceData(code)), uintptr(len(code)),
		unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("map machine code: %w", err)
	}
	return nil
}
