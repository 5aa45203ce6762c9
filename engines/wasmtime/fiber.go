//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// way is how an instance runs, for as long as it has its store.
type way int

const (
	// onThread is the fast way: a call of C, which calls Go for each host function. A
	// guest has its thread to itself until the call returns.
	onThread way = iota

	// onFiber has the guest run on a stack of its own, which it leaves whenever it
	// calls the host, or has run for a tick: nothing but the stack is taken while a
	// host function blocks. A call costs some 0.4 µs more, and so does a host function.
	onFiber

	ways
)

const (
	// maxThreads is how many guests run on threads before others do on fibers: more
	// than run at once unless they block.
	maxThreads = 32

	// maxTurns bounds the fibers that run, rather than wait, at once.
	maxTurns = 32
)

// way is that of an instance that starts now.
func (r *Runtime) way() way {
	if len(r.places[onThread]) >= r.threads {
		return onFiber
	}
	return onThread
}

// drive runs a fiber until it has ended, or has to.
func (i *instance) drive() {
	for !bool(C.ww_resume(i.c)) {
		i.pause()
		if i.stopped != nil {
			C.ww_abandon(i.c)
			return
		}
	}
}

// pause does what the fiber waits for, if it is not but for others to have their
// turns, and waits for its next one.
func (i *instance) pause() {
	turns, f := i.module.runtime.places[onFiber], i.c.fiber
	turns.leave()
	if f.waits {
		i.hostCall(int(f.host.index), (*rawValue)(unsafe.Pointer(&f.passed)))
		f.waits = false
	}
	if i.stopped == nil {
		i.stopped = turns.enter(i.ctx)
	}
	i.placed = i.stopped == nil
}
