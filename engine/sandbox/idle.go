package sandbox

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// maxIdle bounds the instances that wait at one start for an activation.
const maxIdle = 64

// maxShelves bounds the shelves of one start.
const maxShelves = 8

// idleInstances wait for an activation. They lie on several shelves, so that
// those who come at once do not wait for each other, and get the instance that
// they had the last time: its memory is in the cache of their processor.
type idleInstances struct {
	shelves []shelf
}

type shelf struct {
	mu        sync.Mutex
	instances []*guest
	closed    bool
	_         [64]byte // no two shelves in one line of a cache
}

func newIdleInstances() idleInstances {
	return idleInstances{make([]shelf, min(runtime.GOMAXPROCS(0), maxShelves))}
}

// take gives an instance, from the shelf of that number if it has one; nil if
// there is none at all.
func (i idleInstances) take(from uint32) *guest {
	for n := range uint32(len(i.shelves)) {
		if guest := i.shelf(from + n).take(); guest != nil {
			return guest
		}
	}
	return nil
}

// put tells whether there was room on the shelf of that number.
func (i idleInstances) put(guest *guest, to uint32) bool {
	return i.shelf(to).put(guest, maxIdle/len(i.shelves))
}

func (i idleInstances) shelf(n uint32) *shelf { return &i.shelves[n%uint32(len(i.shelves))] }

// drain closes what lies on the shelves.
func (i idleInstances) drain(ctx context.Context) error {
	var errs []error
	for n := range i.shelves {
		for _, guest := range i.shelves[n].clear() {
			errs = append(errs, guest.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// close drains the shelves for good.
func (i idleInstances) close(ctx context.Context) error {
	for n := range i.shelves {
		i.shelves[n].close()
	}
	return i.drain(ctx)
}

func (s *shelf) take() *guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.instances) - 1
	if last < 0 {
		return nil
	}
	guest := s.instances[last]
	s.instances = s.instances[:last]
	return guest
}

func (s *shelf) put(guest *guest, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.instances) >= limit {
		return false
	}
	s.instances = append(s.instances, guest)
	return true
}

func (s *shelf) clear() []*guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.instances
	s.instances = nil
	return all
}

// close has nothing put there any more.
func (s *shelf) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
