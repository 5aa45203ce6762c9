//go:build cgo && linux && amd64

package wasmer

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"wasmwhisk/engine"
	"wasmwhisk/engines/internal/face"
	"wasmwhisk/engines/internal/kept"
)

// codeFactor estimates a module's memory from the size of its binary: machine
// code of seven times its size, by measurement.
const codeFactor = 7

// module is a valid binary with its code for each bound of memory that instances
// were made with. There is one for all instances of an action.
type module struct {
	runtime *Runtime
	binary  []byte
	imports []engine.Import
	exports []engine.Export

	mu     sync.Mutex
	codes  map[uint32]*compiled
	users  int // instances
	closed bool
}

func newModule(r *Runtime, binary []byte, c code) (*module, error) {
	imports, err := c.imports()
	if err != nil {
		return nil, err
	}
	return &module{runtime: r, binary: binary, imports: imports, exports: face.Exports(c.Interface), codes: map[uint32]*compiled{}}, nil
}

func (m *module) Imports() []engine.Import { return m.imports }
func (m *module) Exports() []engine.Export { return m.exports }
func (m *module) Size() int64              { return codeFactor*int64(len(m.binary)) + engine.PageSize }

// Close leaves the code to the last instance.
func (m *module) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.releaseLocked()
	return nil
}

func (m *module) releaseLocked() {
	if !m.closed || m.users > 0 {
		return
	}
	for limit, c := range m.codes {
		delete(m.codes, limit)
		if c.err == nil {
			C.wm_module_free(&c.c)
		}
	}
}

func (m *module) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
	m.releaseLocked()
}

var errClosed = errors.New("the module or snapshot was closed")

// enter counts an instance, and gives the code for it.
func (m *module) enter(limits engine.Limits) (*compiled, error) {
	pages := bound(limits.MemoryPages)
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, errClosed
	}
	m.users++
	c := m.codes[pages]
	if c == nil {
		c = &compiled{}
		m.codes[pages] = c
	}
	m.mu.Unlock()
	c.once.Do(func() {
		if c.code, c.err = m.runtime.prepare(m.binary, pages); c.err == nil {
			c.err = c.compile(m.runtime)
		}
	})
	if c.err != nil {
		m.leave()
		return nil, c.err
	}
	return c, nil
}

func (m *module) Instantiate(ctx context.Context, limits engine.Limits) (engine.Instance, error) {
	i, err := m.instantiate(ctx, limits)
	if err != nil {
		return nil, err
	}
	if err := i.begin(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

// state is where an instance starts.
type state struct {
	memory  []byte // without the zeros at its end
	pages   uint32
	globals []uint64 // of code.Globals
}

// snapshot is a state that was captured.
type snapshot struct {
	module *module
	state  state
	share  kept.Share
	closed atomic.Bool
}

func (s *snapshot) Size() int64 { return int64(len(s.state.memory)) }

func (s *snapshot) Close() error {
	if !s.closed.Swap(true) {
		s.module.runtime.states.Release(&s.share)
	}
	return nil
}

func (m *module) Capture(inst engine.Instance) (engine.Snapshot, error) {
	i, ok := inst.(*instance)
	if !ok || i.module != m {
		return nil, fmt.Errorf("%w: the instance is of another module", engine.ErrNotCapturable)
	}
	if err := i.code.fixed(); err != nil {
		return nil, err
	}
	memory := i.bytes()
	end := len(memory)
	for end > 0 && memory[end-1] == 0 {
		end--
	}
	s := &snapshot{module: m}
	if err := m.runtime.states.Charge(&s.share, end); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrNotCapturable, err)
	}
	s.state = state{
		memory:  append([]byte(nil), memory[:end]...),
		pages:   uint32(len(memory) / engine.PageSize),
		globals: i.readGlobals(),
	}
	return s, nil
}

// Restore copies: what wasmer maps cannot be replaced.
func (m *module) Restore(ctx context.Context, from engine.Snapshot, limits engine.Limits) (engine.Instance, error) {
	s, ok := from.(*snapshot)
	if !ok || s.module != m {
		return nil, errors.New("restore: the snapshot is of another module")
	}
	if s.closed.Load() {
		return nil, errClosed
	}
	i, err := m.instantiate(ctx, limits)
	if err != nil {
		return nil, err
	}
	if err := i.restore(s.state); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	return i, nil
}
