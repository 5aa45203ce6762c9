package wasi

import (
	"context"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// regular is an open regular file.
type regular struct {
	*os.File
	mount *Mount
}

func (f *regular) kind() kind              { return kindRegular }
func (f *regular) stat() (filestat, error) { return fstat(f.File) }
func (f *regular) close() error            { return f.Close() }

func (f *regular) read(_ context.Context, p []byte, _ fdflags) (int, error) {
	return ended(f.Read(p))
}

func (f *regular) write(p []byte) (int, error) { return f.Write(p) }

// setAppend makes writes go to the end of the file, or not any more.
func (f *regular) setAppend(on bool) error {
	modes, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	modes &^= unix.O_APPEND
	if on {
		modes |= unix.O_APPEND
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, modes)
	return err
}

func (f *regular) setTimes(times [2]unix.Timespec) error {
	if f.mount.Access == ReadOnly {
		return eROFS
	}
	return again(func() error { return futimens(f.File, times) })
}

// resize changes the size to what of makes of it.
func (f *regular) resize(of func(size uint64) uint64) error {
	if f.mount.Access == ReadOnly {
		return eROFS
	}
	st, err := f.stat()
	if err != nil {
		return err
	}
	if size := of(st.size); size != st.size {
		return f.Truncate(int64(size))
	}
	return nil
}

func (s *System) fdFilestatSetSize(_ context.Context, _ engine.Memory, a args) error {
	f, err := s.regular(a.u32(0), rightFdFilestatSetSize)
	if err != nil {
		return err
	}
	if a[1] > math.MaxInt64 {
		return eINVAL
	}
	return f.resize(func(uint64) uint64 { return a[1] })
}

// fdAllocate makes the file long enough. It reserves no blocks: that would let a
// guest fill the disk at the cost of one call.
func (s *System) fdAllocate(_ context.Context, _ engine.Memory, a args) error {
	f, err := s.regular(a.u32(0), rightFdAllocate)
	if err != nil {
		return err
	}
	offset, length := a[1], a[2]
	if length == 0 {
		return eINVAL
	}
	if offset > math.MaxInt64 || length > math.MaxInt64-offset {
		return eFBIG
	}
	return f.resize(func(size uint64) uint64 { return max(size, offset+length) })
}

// maxAdvice is the last of preview1's pieces of advice.
const maxAdvice = 5

// fdAdvise checks the advice and leaves caching to the host.
func (s *System) fdAdvise(_ context.Context, _ engine.Memory, a args) error {
	if _, err := s.regular(a.u32(0), rightFdAdvise); err != nil {
		return err
	}
	if a.u32(3) > maxAdvice {
		return eINVAL
	}
	return nil
}

func (s *System) fdSeek(_ context.Context, mem engine.Memory, a args) error {
	offset, whence := int64(a[1]), a.u32(2)
	if offset == 0 && whence == io.SeekCurrent {
		return s.tell(mem, a.u32(0), a.u32(3))
	}
	f, err := s.regular(a.u32(0), rightFdSeek)
	if err != nil {
		return err
	}
	if whence > io.SeekEnd {
		return eINVAL
	}
	return f.seek(mem, offset, int(whence), a.u32(3))
}

func (s *System) fdTell(_ context.Context, mem engine.Memory, a args) error {
	return s.tell(mem, a.u32(0), a.u32(1))
}

// tell needs either right: to seek includes to tell.
func (s *System) tell(mem engine.Memory, fd, result uint32) error {
	f, d, err := fileAs[*regular](s, fd, 0, eSPIPE)
	if err != nil {
		return err
	}
	if d.base&(rightFdSeek|rightFdTell) == 0 {
		return eNOTCAPABLE
	}
	return f.seek(mem, 0, io.SeekCurrent, result)
}

// seek moves the file's offset and writes at result where it is then.
func (f *regular) seek(mem engine.Memory, offset int64, whence int, result uint32) error {
	if _, err := mem.Range(result, 8); err != nil {
		return err
	}
	at, err := f.Seek(offset, whence)
	if err != nil {
		return err
	}
	return mem.PutUint64(result, uint64(at))
}

func (s *System) fdSync(_ context.Context, _ engine.Memory, a args) error {
	return s.sync(a.u32(0), rightFdSync)
}

func (s *System) fdDatasync(_ context.Context, _ engine.Memory, a args) error {
	return s.sync(a.u32(0), rightFdDatasync)
}

func (s *System) sync(fd uint32, need rights) error {
	f, _, err := fileAs[interface{ Sync() error }](s, fd, need, eINVAL)
	if err != nil {
		return err
	}
	return f.Sync()
}
