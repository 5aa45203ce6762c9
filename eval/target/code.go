package target

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/wat"
)

// The programs that targets run: examples of this project.
const (
	Add   = "add"   // adds two numbers
	Hash  = "hash"  // BLAKE3 over and over
	Block = "block" // waits 300 ms in a call of the host
	Prime = "prime" // a sieve of Eratosthenes
)

// ordinary are the programs' events.
func ordinary(program string) string {
	switch program {
	case Add:
		return `{"param1":3,"param2":4}`
	case Hash:
		return `{"iterations":1000,"input":"abc"}`
	case Prime:
		return `{"upperBound":100000}`
	}
	return `{}`
}

// Builder builds the programs, each once. It needs the Go toolchain, and a
// directory within the sources of this project.
type Builder struct {
	Dir string // where the sources are; empty means the working directory

	mu    sync.Mutex
	built map[recipe]*product
}

type recipe struct {
	program string
	size    Size
	form    Form
}

type product struct {
	once sync.Once
	code []byte
	err  error
}

// code is an action's, set apart from others by some bytes at its end.
func (b *Builder) code(ctx context.Context, form Form, a Action) ([]byte, error) {
	p := b.product(recipe{a.Program, a.Size, form})
	p.once.Do(func() { p.code, p.err = b.build(ctx, form, a) })
	if p.err != nil {
		return nil, p.err
	}
	return mark(form, p.code, a.Code), nil
}

func (b *Builder) product(r recipe) *product {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.built == nil {
		b.built = map[recipe]*product{}
	}
	if b.built[r] == nil {
		b.built[r] = &product{}
	}
	return b.built[r]
}

func (b *Builder) build(ctx context.Context, form Form, a Action) ([]byte, error) {
	const examples = "wasmwhisk/examples"
	switch form {
	case Native:
		return b.native(ctx, examples+"/"+a.Program)
	case Script:
		return script(a.Program)
	}
	if a.Size == Large {
		return guest.Compile(ctx, guest.Source{Dir: b.Dir, Package: examples + "/" + a.Program}, guest.Reactor)
	}
	if a.Program != Add && (a.Program != Block || a.Size != Small) {
		return nil, ErrNoProgram
	}
	dir, err := b.directory(ctx, examples)
	if err != nil {
		return nil, err
	}
	if a.Size == Medium {
		module, err := guest.CompileC(ctx, filepath.Join(dir, "c", "add.c"))
		if errors.Is(err, guest.ErrNoClang) {
			return nil, errors.Join(ErrNoProgram, err)
		}
		return module, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "wat", a.Program+".wat"))
	if err != nil {
		return nil, err
	}
	return wat.Compile(string(text))
}

func (b *Builder) native(ctx context.Context, pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasmwhisk-eval-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir = b.Dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", pkg, err, said)
	}
	return os.ReadFile(out)
}

func (b *Builder) directory(ctx context.Context, pkg string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg)
	cmd.Dir = b.Dir
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", pkg, err)
	}
	return strings.TrimSpace(string(said)), nil
}

// mark appends bytes that change nothing: a custom section to a module, a comment
// to a script. What follows an executable is not loaded.
func mark(form Form, code []byte, text string) []byte {
	if text == "" {
		return code
	}
	marked := append([]byte(nil), code...)
	switch form {
	case Wasm:
		const name = "\x04eval"
		return append(binary.AppendUvarint(append(marked, 0), uint64(len(name)+len(text))), name+text...)
	case Script:
		return append(marked, "\n// "+text+"\n"...)
	}
	return append(marked, text...)
}
