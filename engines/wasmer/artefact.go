//go:build cgo && linux && amd64

package wasmer

/*
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/cpu"

	"wasmwhisk/engine"
)

// artefactForm changes with the files of an artefact and what is in them.
const artefactForm = 1

// The files of an artefact: the binary, from which all but the machine code is
// made again, and a digest of both before the machine code.
const (
	binaryFile = "binary"
	codeFile   = "code"
)

// Check tells that the library believes all files.
func (r *Runtime) Check(string) engine.Check { return engine.CheckFirst }

// Fingerprint tells processors apart more finely than code differs.
func (r *Runtime) Fingerprint() string {
	features := sha256.Sum256(fmt.Appendf(nil, "%+v", cpu.X86))
	return fmt.Sprintf("wasmer %s form %d amd64 %x memory %d tables %d",
		r.Info().Version, artefactForm, features[:8], r.pages, r.config.TableElements)
}

func (r *Runtime) Precompile(ctx context.Context, binary []byte, dir string) error {
	if _, err := r.Compile(ctx, binary); err != nil {
		return err
	}
	c := &compiled{}
	var err error
	if c.code, err = r.prepare(binary, r.pages); err != nil {
		return err
	}
	if err := c.compile(r); err != nil {
		return err
	}
	defer C.wm_module_free(&c.c)
	machine := c.machine()
	sum := digest(binary, machine)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, binaryFile), binary, 0o600),
		os.WriteFile(filepath.Join(dir, codeFile), slices.Concat(sum[:], machine), 0o600),
	)
}

func (c *compiled) machine() []byte {
	var bytes C.wasm_byte_vec_t
	C.wasm_module_serialize(c.c.module, &bytes)
	defer C.wasm_byte_vec_delete(&bytes)
	return C.GoBytes(unsafe.Pointer(bytes.data), C.int(bytes.size))
}

func digest(binary, machine []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(binary)
	h.Write(machine)
	h.Sum(sum[:0])
	return sum
}

func (r *Runtime) Load(_ context.Context, binary []byte, dir string) (engine.Module, error) {
	kept, machine, err := readArtefact(dir)
	if err != nil {
		return nil, err
	}
	if binary != nil && !bytes.Equal(binary, kept) {
		return nil, errors.New("artefact is that of another module")
	}
	c := &compiled{}
	if c.code, err = r.prepare(kept, r.pages); err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	m, err := newModule(r, kept, c.code)
	if err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	if err := errorOf(C.wm_load((*C.char)(unsafe.Pointer(unsafe.SliceData(machine))), C.size_t(len(machine)), &c.c)); err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	if err := c.link(r); err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	c.once.Do(func() {}) // it is there
	m.codes[r.pages] = c
	return m, nil
}

var errDamaged = errors.New("artefact is damaged")

// readArtefact gives nothing that is not as it was written.
func readArtefact(dir string) (binary, machine []byte, err error) {
	if binary, err = os.ReadFile(filepath.Join(dir, binaryFile)); err != nil {
		return nil, nil, fmt.Errorf("read artefact: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, codeFile))
	if err != nil {
		return nil, nil, fmt.Errorf("read artefact: %w", err)
	}
	if len(text) <= sha256.Size {
		return nil, nil, errDamaged
	}
	machine = text[sha256.Size:]
	if digest(binary, machine) != [sha256.Size]byte(text[:sha256.Size]) {
		return nil, nil, errDamaged
	}
	return binary, machine, nil
}
