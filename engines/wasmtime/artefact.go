//go:build cgo && linux && amd64

package wasmtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v44"
	"golang.org/x/sys/cpu"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// artefactForm changes with the files of an artefact, what is in them, and the
// configuration of the engine.
const artefactForm = 1

// The files of an artefact.
const (
	codeFile   = "code" // as wasmtime serialises a module
	memoryFile = "memory"
	headerFile = "header" // comes last, and tells of the others
)

// header describes an artefact. On disk its SHA-256 stands before it.
type header struct {
	Fingerprint string
	Source      [sha256.Size]byte // of the binary as it was before it was rewritten
	Code        file
	Memory      file
	Segments    []segment // of the memory's initial content, as they lie in the file
	Size        int64     // of the module in memory
	Result      rewrite.Result
	Interface   rewrite.Interface
	Fixed       string
}

// file tells a file from every damaged form of it.
type file struct {
	Size   int64
	Digest uint32 // CRC-32C: damage is looked for, not deceit
}

type segment struct{ Offset, Size uint32 }

// Check tells that the library believes all files.
func (r *Runtime) Check(string) engine.Check { return engine.CheckFirst }

// Fingerprint covers the form of artefacts, the bound on tables, which changes
// the code, and the processor: code is made for all that it can do.
func (r *Runtime) Fingerprint() string {
	return fmt.Sprintf("wasmtime %s %s/%s cpu=%x artefact=%d tables=%d",
		version(), runtime.GOOS, runtime.GOARCH, cpuFeatures(), artefactForm, r.config.TableElements)
}

// cpuFeatures tells processors apart by all that can be asked of them, more
// finely than code differs.
func cpuFeatures() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", cpu.X86))
	return sum[:8]
}

func (r *Runtime) Precompile(_ context.Context, binary []byte, dir string) error {
	c, err := r.prepare(binary)
	if err != nil {
		return err
	}
	compiled, err := wasmtime.NewModule(r.engine, c.Binary)
	if err != nil {
		return &engine.InvalidModuleError{Err: err}
	}
	defer compiled.Close()
	text, err := compiled.Serialize()
	if err != nil {
		return fmt.Errorf("serialise module: %w", err)
	}
	return r.write(dir, sha256.Sum256(binary), c, text)
}

func (r *Runtime) write(dir string, source [sha256.Size]byte, c code, text []byte) error {
	h := header{
		Fingerprint: r.Fingerprint(), Source: source,
		Size: int64(len(text)) + engine.PageSize, Result: *c.Result, Interface: c.Interface, Fixed: c.fixed,
	}
	h.Result.Binary, h.Result.Image = nil, nil
	var memory []byte
	for _, s := range c.Image {
		h.Segments = append(h.Segments, segment{s.Offset, uint32(len(s.Data))})
		memory = append(memory, s.Data...)
	}
	h.Code, h.Memory = describe(text), describe(memory)
	sealed, err := h.seal()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{codeFile, text}, {memoryFile, memory}, {headerFile, sealed}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o600); err != nil {
			return fmt.Errorf("write artefact: %w", err)
		}
	}
	return nil
}

func describe(text []byte) file {
	return file{Size: int64(len(text)), Digest: crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))}
}

func (h header) seal() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("write artefact: %w", err)
	}
	sum := sha256.Sum256(text)
	return append(hex.AppendEncode(nil, sum[:]), text...), nil
}

func unseal(text []byte) (h header, err error) {
	const size = 2 * sha256.Size
	if len(text) < size {
		return h, errors.New("header is cut off")
	}
	if sum := sha256.Sum256(text[size:]); hex.EncodeToString(sum[:]) != string(text[:size]) {
		return h, errors.New("header does not match its digest")
	}
	return h, json.Unmarshal(text[size:], &h)
}

// Load never compiles, and hands the engine only code that is as this engine
// wrote it. A binary that is nil is not compared with that of the artefact.
func (r *Runtime) Load(_ context.Context, binary []byte, dir string) (engine.Module, error) {
	c, err := r.read(binary, dir)
	if err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	compiled, err := wasmtime.NewModuleDeserializeFile(r.engine, filepath.Join(dir, codeFile))
	if err != nil {
		return nil, fmt.Errorf("load artefact: %w", err)
	}
	return newModule(r, compiled, c), nil
}

func (r *Runtime) read(binary []byte, dir string) (code, error) {
	text, err := os.ReadFile(filepath.Join(dir, headerFile))
	if err != nil {
		return code{}, err
	}
	h, err := unseal(text)
	if err != nil {
		return code{}, err
	}
	if h.Fingerprint != r.Fingerprint() {
		return code{}, fmt.Errorf("it is of another engine: %s", h.Fingerprint)
	}
	if binary != nil && sha256.Sum256(binary) != h.Source {
		return code{}, errors.New("it is of another module")
	}
	if err := h.Code.check(filepath.Join(dir, codeFile)); err != nil {
		return code{}, err
	}
	memory, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if err != nil {
		return code{}, err
	}
	if describe(memory) != h.Memory {
		return code{}, fmt.Errorf("file %s is damaged", memoryFile)
	}
	if h.Result.Image, err = h.image(memory); err != nil {
		return code{}, err
	}
	return code{Result: &h.Result, Interface: h.Interface, fixed: h.Fixed, size: h.Size}, nil
}

// check reads a file piece by piece: the engine maps it, nobody needs a copy.
func (f file) check(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	digest := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err := io.Copy(digest, in)
	if err != nil {
		return err
	}
	if got := (file{size, digest.Sum32()}); got != f {
		return fmt.Errorf("file %s is damaged", filepath.Base(path))
	}
	return nil
}

// image takes apart what write put together.
func (h header) image(memory []byte) ([]rewrite.Segment, error) {
	image := make([]rewrite.Segment, len(h.Segments))
	for n, s := range h.Segments {
		if uint64(s.Size) > uint64(len(memory)) {
			return nil, fmt.Errorf("file %s is too short", memoryFile)
		}
		image[n] = rewrite.Segment{Offset: s.Offset, Data: memory[:s.Size]}
		memory = memory[s.Size:]
	}
	return image, nil
}
