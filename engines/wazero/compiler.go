package wazero

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/cpu"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// Compiler implements [engine.Precompiler]: it turns modules into machine code
// before they run.
//
// wazero reads and writes machine code only where a cache that a runtime is made with
// keeps it, under names of its own. So modules that come from an artefact live in a
// second runtime, in whose cache the machine code is for just as long as it is being
// loaded; modules compiled directly never touch the disk.
type Compiler struct {
	*Runtime
	loader      *lazy[*loader]
	interpreter *lazy[*Runtime]
}

// NewCompiler returns an engine that compiles modules.
func NewCompiler(ctx context.Context, config engine.Config) (*Compiler, error) {
	r, err := newRuntime(ctx, config, "compiler", wazero.NewRuntimeConfigCompiler())
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	return &Compiler{
		Runtime:     r,
		loader:      &lazy[*loader]{make: func() (*loader, error) { return newLoader(ctx, r.config) }},
		interpreter: &lazy[*Runtime]{make: func() (*Runtime, error) { return NewInterpreter(ctx, r.config) }},
	}, nil
}

// Fingerprint covers what wazero's own key covers, the form of artefacts, and
// the bound on tables, which changes the code.
func (c *Compiler) Fingerprint() string {
	return fmt.Sprintf("wazero %s %s/%s cpu=%x artefact=%d tables=%d",
		version(), runtime.GOOS, runtime.GOARCH, cpuFeatures(), artefactForm, c.config.TableElements)
}

// cpuFeatures tells processors apart by all that can be asked of them, more
// finely than wazero's code differs.
func cpuFeatures() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %+v", cpu.X86, cpu.ARM64))
	return sum[:8]
}

// Check knows that wazero has a checksum of machine code, and that the memory's initial
// content is for instances.
func (c *Compiler) Check(file string) engine.Check {
	switch file {
	case machineFile:
		return engine.CheckInLoad
	case memoryFile:
		return engine.CheckBeside
	}
	return engine.CheckFirst
}

// Precompile compiles on this goroutine, as Compile does.
func (c *Compiler) Precompile(ctx context.Context, binary []byte, dir string) (err error) {
	defer recovered("compile", &err)
	code, err := prepare(binary, c.config)
	if err != nil {
		return err
	}
	if err := validateUnsure(binary, code); err != nil {
		return err
	}
	return writeArtefact(ctx, dir, binary, code)
}

// Load never compiles: an artefact without the machine code it should have is an
// error. A binary that is nil is not compared with that of the artefact.
func (c *Compiler) Load(ctx context.Context, binary []byte, dir string) (engine.Module, error) {
	a, err := readArtefact(dir)
	if err != nil {
		return nil, err
	}
	if binary != nil && sha256.Sum256(binary) != a.Source {
		return nil, errors.New("load artefact: it is of another module")
	}
	l, err := c.loader.get()
	if err != nil {
		return nil, err
	}
	return l.load(ctx, a)
}

// Interpret works in a runtime of its own. What is not run soon is made or validated
// beside.
func (c *Compiler) Interpret(ctx context.Context, binary []byte, seen engine.Preview) (engine.Snapshotter, error) {
	r, err := c.interpreter.get()
	if err != nil {
		return nil, fmt.Errorf("open interpreter: %w", err)
	}
	code, err := r.prepareParts(binary, seen)
	if err != nil {
		return nil, err
	}
	valid := validate(binary, code)
	m, err := r.compile(ctx, code)
	if err != nil {
		valid.close()
		_ = code.parts.release(ctx)
		return nil, err
	}
	m.valid = valid
	return m, nil
}

// Preview is of the rewriter's first pass.
func (c *Compiler) Preview() engine.Preview { return rewrite.NewPreview() }

func (c *Compiler) Close(ctx context.Context) error {
	return errors.Join(c.loader.close(ctx), c.interpreter.close(ctx), c.Runtime.Close(ctx))
}
