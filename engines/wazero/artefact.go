package wazero

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// artefactForm changes with the files of an artefact and what is in them.
const artefactForm = 10

// The files of an artefact, beside those of the code.
const (
	skeletonFile = "skeleton" // the module without its code
	memoryFile   = "memory"   // its initial content, see writeImage
	detailsFile  = "details"
)

// artefact is a module whose machine code is in a file.
//
// wazero looks machine code up by the hash of the module that it is given, but
// decodes and validates that module first, which takes ten times as long as
// reading the code. Only then does it need function bodies. So it is given the
// module's skeleton, and the code under the skeleton's name.
type artefact struct {
	details
	skeleton []byte
	image    []rewrite.Segment
	dir      string
}

// details is the part of an artefact that is neither code nor data.
type details struct {
	Source  [sha256.Size]byte // of the binary as it was before it was rewritten
	Name    string            // of the code, for a lookup with the skeleton
	Size    int               // of the rewritten binary
	Result  rewrite.Result    // without Binary and Image
	Fixed   string
	Imports []engine.Import
	Exports []engine.Export

	Memory int // bytes of the memory's initial content, if its file has that as it is
}

// writeArtefact compiles code, of the binary source, into an empty directory.
func writeArtefact(ctx context.Context, dir string, source []byte, c code) error {
	d := details{Source: sha256.Sum256(source), Size: c.size, Result: *c.Result, Fixed: c.fixed}
	compiled, err := compileInto(ctx, filepath.Join(dir, "compiling"), c.Binary, func(m wazero.CompiledModule) {
		d.Imports, d.Exports = importsOf(m), exportsOf(m)
	})
	if err != nil {
		return err
	}
	written, err := os.ReadFile(compiled)
	if err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	id := sha256.Sum256(c.Binary)
	skeleton, err := rewrite.Skeleton(c.Binary, id[:])
	if err != nil {
		return fmt.Errorf("make skeleton: %w", err)
	}
	// Only wazero knows what it would call the skeleton's code.
	named, err := compileInto(ctx, filepath.Join(dir, "naming"), skeleton, func(wazero.CompiledModule) {})
	if err != nil {
		return err
	}
	d.Name = filepath.Base(named)
	d.Result.Binary, d.Result.Image = nil, nil
	if d.Memory, err = writeImage(filepath.Join(dir, memoryFile), c.Image); err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	return errors.Join(
		writeCode(dir, padCode(written)),
		os.RemoveAll(filepath.Join(dir, "compiling")),
		os.RemoveAll(filepath.Join(dir, "naming")),
		os.WriteFile(filepath.Join(dir, skeletonFile), skeleton, 0o600),
		os.WriteFile(filepath.Join(dir, detailsFile), text, 0o600),
	)
}

// compileInto has wazero leave the code of a binary in a new directory, and gives
// the file. What wazero has to say of the module is there to look at meanwhile.
func compileInto(ctx context.Context, dir string, binary []byte, look func(wazero.CompiledModule)) (file string, err error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return "", fmt.Errorf("open artefact directory: %w", err)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, guestConfig(wazero.NewRuntimeConfigCompiler()).WithCompilationCache(cache))
	m, err := rt.CompileModule(ctx, binary)
	if err == nil {
		look(m)
	} else {
		err = classifyCompile(err)
	}
	if err := errors.Join(err, rt.Close(ctx), cache.Close(ctx)); err != nil {
		return "", err
	}
	version, err := onlyEntry(dir)
	if err != nil {
		return "", err
	}
	return onlyEntry(version)
}

// classifyCompile tells a bad module from a disk that did not take the artefact.
func classifyCompile(err error) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("write artefact: %w", err)
	}
	return &engine.InvalidModuleError{Err: err}
}

// onlyEntry is the one file or directory in dir.
func onlyEntry(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("find compiled code: %w", err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("find compiled code: %d entries in %s, want one", len(entries), dir)
	}
	return filepath.Join(dir, entries[0].Name()), nil
}

func readArtefact(dir string) (a artefact, err error) {
	if a.dir, err = filepath.Abs(dir); err != nil {
		return a, fmt.Errorf("find artefact: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, detailsFile))
	if err != nil {
		return a, fmt.Errorf("read artefact: %w", err)
	}
	if err := json.Unmarshal(text, &a.details); err != nil {
		return a, fmt.Errorf("read artefact: %w", err)
	}
	if a.Name == "" || filepath.Base(a.Name) != a.Name {
		return a, fmt.Errorf("read artefact: code cannot be called %q", a.Name)
	}
	if a.skeleton, err = os.ReadFile(filepath.Join(dir, skeletonFile)); err != nil {
		return a, fmt.Errorf("read artefact: %w", err)
	}
	if a.Memory > 0 {
		return a, nil
	}
	image, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if err != nil {
		return a, fmt.Errorf("read artefact: %w", err)
	}
	a.image, err = decodeImage(image)
	return a, err
}

// contents are what memories start with, nil if the image tells.
func (a artefact) contents(r *Runtime) (*contents, error) {
	if a.Memory == 0 {
		return nil, nil
	}
	return r.openContents(filepath.Join(a.dir, memoryFile), a.Memory, a.Result.MemoryMin)
}

// prepared is what compiling works with, made without the rewriter.
func (a artefact) prepared() code {
	result := a.Result
	result.Binary, result.Image = a.skeleton, a.image
	return code{Result: &result, fixed: a.Fixed, size: a.Size, seen: &a.details}
}

// writeImage writes a memory's initial content. It gives the size of what is in the
// file as it is, for slots to map: where it begins with the memory and has no great
// gaps.
func writeImage(file string, image []rewrite.Segment) (plain int, err error) {
	text := encodeImage(image)
	joined, err := decodeImage(text)
	if err != nil {
		return 0, err
	}
	if len(joined) == 1 && joined[0].Offset == 0 {
		plain = contentEnd(joined[0].Data)
	}
	if plain > 0 {
		text = joined[0].Data[:plain]
	}
	return plain, os.WriteFile(file, text, 0o600)
}

// joinGap is how many zeros between two segments cost less than a segment more.
const joinGap = 64 << 10

// encodeImage writes offset, size and bytes of each segment, neighbours as one:
// what a Go toolchain makes has tens of thousands. The first begins where the
// memory does if it can.
func encodeImage(image []rewrite.Segment) []byte {
	var out []byte
	end, size := uint64(0), 0 // of the last segment in memory; where its size is in out
	for _, s := range image {
		gap := uint64(s.Offset) - end
		if out == nil || gap > joinGap {
			start := s.Offset
			if gap <= joinGap {
				start = 0
			}
			out = binary.LittleEndian.AppendUint32(out, start)
			size = len(out)
			out = binary.LittleEndian.AppendUint32(out, 0)
		}
		if gap <= joinGap {
			out = append(out, make([]byte, gap)...)
		}
		out = append(out, s.Data...)
		binary.LittleEndian.PutUint32(out[size:], uint32(len(out)-size-4))
		end = uint64(s.Offset) + uint64(len(s.Data))
	}
	return out
}

func decodeImage(text []byte) ([]rewrite.Segment, error) {
	var image []rewrite.Segment
	end := uint64(0)
	for r := bytes.NewBuffer(text); r.Len() > 0; {
		head := r.Next(8)
		if len(head) < 8 {
			return nil, errors.New("read artefact: memory image is cut off")
		}
		offset, size := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:])
		if uint64(size) > uint64(r.Len()) || uint64(offset) < end {
			return nil, errors.New("read artefact: memory image is damaged")
		}
		end = uint64(offset) + uint64(size)
		image = append(image, rewrite.Segment{Offset: offset, Data: r.Next(int(size))})
	}
	return image, nil
}
