package wasi

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
)

// fstflags say which times of a file to set, and to what.
type fstflags uint32

// The flags of preview1.
const (
	setAtime fstflags = 1 << iota
	setAtimeNow
	setMtime
	setMtimeNow

	setTimesAll = setAtime | setAtimeNow | setMtime | setMtimeNow
)

// times decodes the access time, the modification time and the flags that are
// parameters i to i+2.
func (a args) times(i int) (ts [2]unix.Timespec, err error) {
	flags := fstflags(a.u32(i + 2))
	if flags&^setTimesAll != 0 {
		return ts, eINVAL
	}
	if ts[0], err = timespec(a[i], flags&setAtime != 0, flags&setAtimeNow != 0); err != nil {
		return ts, err
	}
	ts[1], err = timespec(a[i+1], flags&setMtime != 0, flags&setMtimeNow != 0)
	return ts, err
}

func timespec(ns uint64, given, now bool) (unix.Timespec, error) {
	switch {
	case given && (now || ns > math.MaxInt64):
		return unix.Timespec{}, eINVAL
	case given:
		return unix.NsecToTimespec(int64(ns)), nil
	case now:
		return unix.Timespec{Nsec: utimeNow}, nil
	}
	return unix.Timespec{Nsec: utimeOmit}, nil
}

func (s *System) fdFilestatSetTimes(_ context.Context, _ engine.Memory, a args) error {
	times, err := a.times(1)
	if err != nil {
		return err
	}
	d, err := s.lookup(a.u32(0), rightFdFilestatSetTimes)
	if err != nil {
		return err
	}
	f, ok := d.file.(interface{ setTimes([2]unix.Timespec) error })
	if !ok {
		return eNOTSUP
	}
	return f.setTimes(times)
}
