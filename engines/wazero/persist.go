package wazero

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wasmwhisk/engine"
)

var _ engine.Persister = (*module)(nil)

// stateFile is beside memoryFile where a snapshot is kept.
const stateFile = "state"

// keptState is the part of a kept snapshot that is not memory.
type keptState struct {
	Pages   uint32
	Memory  int // bytes in its file
	Globals []uint64
}

func (m *module) Persist(from engine.Snapshot, dir string) error {
	s, ok := from.(*snapshot)
	if !ok || !m.continues(s.module) {
		return errors.New("persist: the snapshot is of another module")
	}
	kept := keptState{Pages: s.state.pages, Globals: s.state.globals}
	if memories := s.state.memories; memories != nil {
		if err := memories.hold(); err != nil {
			return fmt.Errorf("persist: %w", err)
		}
		defer memories.leave()
		kept.Memory = len(memories.contents.bytes)
		if err := memories.contents.writeTo(filepath.Join(dir, memoryFile)); err != nil {
			return fmt.Errorf("persist: %w", err)
		}
	}
	text, err := json.Marshal(kept)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, stateFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("persist: %w", err)
	}
	return nil
}

func (m *module) Recall(dir string) (_ engine.Snapshot, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recall: %w", err)
		}
	}()
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	var kept keptState
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	if err := m.mayBegin(kept); err != nil {
		return nil, err
	}
	s := &snapshot{module: m, state: state{globals: kept.Globals}}
	if m.initial.memories == nil {
		return s, nil
	}
	contents, err := m.runtime.openContents(filepath.Join(dir, memoryFile), kept.Memory, kept.Pages)
	if err != nil {
		return nil, err
	}
	if err := s.holds(contents, kept.Pages); err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrNotNow, err)
	}
	return s, nil
}

// mayBegin tells why instances of a module cannot be in a state.
func (m *module) mayBegin(in keptState) error {
	switch {
	case m.code.fixed != "":
		return errors.New(m.code.fixed)
	case len(in.Globals) != len(m.code.Globals):
		return fmt.Errorf("%d globals, want %d", len(in.Globals), len(m.code.Globals))
	case m.initial.memories != nil && (in.Pages < m.code.MemoryMin || in.Pages > m.code.MemoryMax):
		return fmt.Errorf("a memory of %d pages, want %d to %d", in.Pages, m.code.MemoryMin, m.code.MemoryMax)
	}
	return nil
}
