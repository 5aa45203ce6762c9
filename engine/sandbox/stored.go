package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"wasmwhisk/engine"
	"wasmwhisk/engine/wasi"
)

// Store keeps what is made of one module beyond this process, as directories of files
// under names. It is safe for concurrent use.
type Store interface {
	// Read has a function look at what was written under a name, and tells whether
	// that went well: there may be nothing, or nothing that is whole. What the function
	// has an error for is of no use any more, unless that is [engine.ErrNotNow].
	Read(name string, read func(dir string) error) bool

	// Expect tells that Read will be asked for a name before done is called, so that the
	// store can begin with what takes time.
	Expect(name string) (done func())

	// Write keeps what a function writes into a directory that is empty. Perhaps it
	// does not: nothing depends on it but time.
	Write(name string, write func(dir string) error)
}

// storedForm changes with all that a guest's state after its start-up depends on,
// beside what is in a startKey and the engine's fingerprint: what it is called for and
// told by then, and which contract a module has that was asked for none.
const storedForm = 2

// storedName tells a start of a program from all others there may ever be. The contract is
// as it was asked for, so that the name is known before the program.
func storedName(policy Policy) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %+v", storedForm, keyOf(policy.Contract, policy)))
	return hex.EncodeToString(sum[:])
}

// stores tells whether starts under the policy are stored.
func (p Policy) stores() bool { return p.Store != nil && !p.NoSnapshot }

// Expect has the policy's store prepare for a program that is not there yet, and is tried
// before done is called.
func Expect(policy Policy) (done func()) {
	if !policy.stores() {
		return func() {}
	}
	policy.Limits = policy.Limits.WithDefaults()
	return policy.Store.Expect(storedName(policy))
}

// What is stored: the snapshot as the engine wrote it, and what the monotonic clock told
// then.
const (
	snapshotDir = "snapshot"
	clockFile   = "clock"
)

// recall gives what an earlier process has stored, nil if that is nothing.
func (s *start) recall() *preparation {
	if s.store == nil {
		return nil
	}
	p := &preparation{started: true, contract: s.ways()[0].contract}
	found := false
	s.withPersister(func(m engine.Persister) {
		found = s.store.Read(s.name, func(dir string) (err error) {
			if err := liesInThePast(dir); err != nil {
				return err
			}
			p.snapshot, err = m.Recall(filepath.Join(dir, snapshotDir))
			return err
		})
	})
	if found {
		return p
	}
	if p.snapshot != nil {
		_ = p.snapshot.Close()
	}
	return nil
}

// liesInThePast has an error for a guest that remembers a later time than it is: the
// clock of the machine was set, or the directory is of another one.
func liesInThePast(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, clockFile))
	if err != nil {
		return err
	}
	then, err := strconv.ParseUint(string(text), 10, 64)
	if err == nil && then > wasi.Monotonic() {
		err = fmt.Errorf("%w: it was taken later than it is", engine.ErrNotNow)
	}
	return err
}

// maxStored bounds the starts of one program that are stored: they differ by memory
// limits and directories, which users choose.
const maxStored = 4

// save has the store keep the best that there can be, once the final module is there:
// only the artefact of that is found again.
func (s *start) save(p *preparation) {
	if s.store == nil || p.snapshot == nil || p.why != nil || p.rough || s.program.stored.Add(1) > maxStored {
		return
	}
	s.program.beside.Go(func() {
		<-s.program.settled
		s.withPersister(func(m engine.Persister) {
			s.store.Write(s.name, func(dir string) error { return persist(m, p.snapshot, dir) })
		})
	})
}

// persist turns a panic into an error: on a goroutine of ours it would end the process.
func persist(m engine.Persister, snapshot engine.Snapshot, dir string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	now := strconv.FormatUint(wasi.Monotonic(), 10)
	if err := os.WriteFile(filepath.Join(dir, clockFile), []byte(now), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, snapshotDir), 0o700); err != nil {
		return err
	}
	return m.Persist(snapshot, filepath.Join(dir, snapshotDir))
}

// withPersister does something with the final module, if that is there and keeps
// snapshots.
func (s *start) withPersister(do func(engine.Persister)) {
	t := s.program.tier.Load()
	if t == nil || t.provisional || !t.enter() {
		return
	}
	defer t.leave()
	if m, ok := t.module.(engine.Persister); ok {
		do(m)
	}
}
