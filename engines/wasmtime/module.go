//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"sync"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v44"

	"wasmwhisk/engine"
	"wasmwhisk/engines/internal/face"
	"wasmwhisk/engines/internal/kept"
)

// module is compiled code with what its instances start from.
type module struct {
	runtime  *Runtime
	compiled *wasmtime.Module
	code     code
	imports  []engine.Import
	exports  []engine.Export
	funcs    map[string]*function
	start    *function // nil if there is none
	values   int       // the most that any call takes or gives
	size     int64

	// memory is a name under which the memory is exported, nil if it is not.
	memory *string

	// initial is what the module's own data and globals make of an instance.
	initial state
	globals *globals

	mu     sync.Mutex
	pre    [ways]*C.wasmtime_instance_pre_t // nil until the first instance
	users  int                              // instances
	closed bool
}

// state is where an instance starts.
type state struct {
	memories *memories // nil without a memory
	pages    uint32
	globals  []C.uint64_t // of code.Globals; nil leaves the module's own
}

// newModule keeps of the code what instances need: neither the binary nor, once
// it is where instances find it, the image.
func newModule(r *Runtime, compiled *wasmtime.Module, c code) *module {
	m := &module{
		runtime:  r,
		compiled: compiled,
		code:     c,
		imports:  face.Imports(c.Interface),
		exports:  face.Exports(c.Interface),
		funcs:    map[string]*function{},
		size:     c.size,
		globals:  newGlobals(c.Globals),
	}
	for _, x := range m.exports {
		if x.Type == nil {
			m.memory = &x.Name
			continue
		}
		m.addFunction(x.Name, x.Type)
	}
	if c.Start != "" {
		m.start = m.addFunction(c.Start, &engine.FuncType{})
	}
	result := *c.Result
	result.Binary, result.Image = nil, nil
	m.code.Result = &result
	if !c.HasMemory {
		return m
	}
	for _, s := range c.Image {
		m.size += int64(len(s.Data))
	}
	m.initial = state{pages: c.MemoryMin, memories: newMemories(r.budget, func() (*contents, error) {
		return r.newContents(c.InitialMemory())
	})}
	return m
}

// function is an exported function, which instances look up once each.
type function struct {
	name            string
	index           int // among those of the module
	params, results int
	numeric         bool        // may be called: its values are what they seem
	kinds           []C.uint8_t // of its parameters
}

func (m *module) addFunction(name string, t *engine.FuncType) *function {
	f := &function{
		name: name, index: len(m.funcs),
		params: len(t.Params), results: len(t.Results),
		numeric: numeric(t.Params) && numeric(t.Results),
	}
	for _, p := range t.Params {
		kind, _ := kindOf(p)
		f.kinds = append(f.kinds, kind)
	}
	m.funcs[name] = f
	m.values = max(m.values, f.params, f.results)
	return f
}

func (m *module) Imports() []engine.Import { return m.imports }
func (m *module) Exports() []engine.Export { return m.exports }
func (m *module) Size() int64              { return m.size }

// Close leaves the code to the last instance.
func (m *module) Close(context.Context) error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	last := first && m.users == 0
	m.mu.Unlock()
	if first && m.initial.memories != nil {
		m.initial.memories.close()
	}
	if last {
		m.release()
	}
	return nil
}

func (m *module) release() {
	for _, pre := range m.pre {
		if pre != nil {
			C.wasmtime_instance_pre_delete(pre)
		}
	}
	m.compiled.Close()
}

var errClosed = errors.New("the module or snapshot was closed")

// enter counts an instance.
func (m *module) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.users++
	return nil
}

// linked is what instances are made from that run in a way.
func (m *module) linked(w way) (*C.wasmtime_instance_pre_t, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pre[w] == nil {
		text := C.ww_link(m.runtime.linkers[w], modulePointer(m.compiled), &m.pre[w])
		if err := errorOf("link", text); err != nil {
			return nil, &engine.InvalidModuleError{Err: err}
		}
	}
	return m.pre[w], nil
}

func (m *module) leave() {
	m.mu.Lock()
	m.users--
	last := m.closed && m.users == 0
	m.mu.Unlock()
	if last {
		m.release()
	}
}

func (m *module) Instantiate(ctx context.Context, limits engine.Limits) (engine.Instance, error) {
	i, err := m.instantiate(ctx, m.initial, limits)
	if err != nil {
		return nil, err
	}
	if m.start == nil {
		return i, nil
	}
	if _, err := i.call(ctx, m.start, nil); err != nil {
		_ = i.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return i, nil
}

// snapshot is a state that was captured.
type snapshot struct {
	module *module
	state  state
	size   int64
	share  kept.Share
}

func (s *snapshot) Size() int64 { return s.size }

func (s *snapshot) Close() error {
	s.module.runtime.states.Release(&s.share)
	if s.state.memories != nil {
		s.state.memories.close()
	}
	return nil
}

func (m *module) Capture(inst engine.Instance) (engine.Snapshot, error) {
	i, ok := inst.(*instance)
	if !ok || i.module != m {
		return nil, fmt.Errorf("%w: the instance is of another module", engine.ErrNotCapturable)
	}
	if m.code.fixed != "" {
		return nil, fmt.Errorf("%w: %s", engine.ErrNotCapturable, m.code.fixed)
	}
	s := &snapshot{module: m, state: state{globals: i.readGlobals()}}
	if m.initial.memories == nil {
		return s, nil
	}
	memory := i.bytes()
	taken, err := m.runtime.newContents(memory)
	if err != nil {
		return nil, err
	}
	s.size = taken.size()
	if err := m.runtime.states.Charge(&s.share, int(s.size)); err != nil {
		taken.close()
		return nil, fmt.Errorf("%w: %w", engine.ErrNotCapturable, err)
	}
	s.state.memories = newMemories(m.runtime.budget, nil)
	s.state.memories.contents = taken
	s.state.pages = uint32(len(memory) / engine.PageSize)
	return s, nil
}

func (m *module) Restore(ctx context.Context, from engine.Snapshot, limits engine.Limits) (engine.Instance, error) {
	s, ok := from.(*snapshot)
	if !ok || s.module != m {
		return nil, errors.New("restore: the snapshot is of another module")
	}
	return m.instantiate(ctx, s.state, limits)
}
