package wazero

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/cpu"

	"wasmwhisk/engine"
)

// Compiler implements [engine.Precompiler]: it turns modules into machine code
// before they run.
//
// wazero reads and writes artefacts only as files in a directory that a runtime
// is made with, under names of its own. So modules that come from an artefact
// live in a second runtime, whose directory holds a link to the artefact for
// just as long as it is being loaded; modules compiled directly never touch the
// disk.
type Compiler struct {
	*Runtime
	loader func() (*loader, error)
	closed func(context.Context) error
}

// NewCompiler returns an engine that compiles modules.
func NewCompiler(ctx context.Context, config engine.Config) (*Compiler, error) {
	r, err := newRuntime(ctx, config, "compiler", wazero.NewRuntimeConfigCompiler())
	if err != nil {
		return nil, err
	}
	c := &Compiler{Runtime: r}
	c.loader, c.closed = lazyLoader(context.WithoutCancel(ctx), r.config)
	return c, nil
}

// Fingerprint covers what wazero's own key covers, and the bound on tables,
// which changes the code.
func (c *Compiler) Fingerprint() string {
	return fmt.Sprintf("wazero %s %s/%s cpu=%x tables=%d",
		version(), runtime.GOOS, runtime.GOARCH, cpuFeatures(), c.config.TableElements)
}

// cpuFeatures tells processors apart by all that can be asked of them, more
// finely than wazero's code differs.
func cpuFeatures() []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v %+v", cpu.X86, cpu.ARM64))
	return sum[:8]
}

func (c *Compiler) Precompile(ctx context.Context, binary []byte, dir string) (err error) {
	defer recovered("compile", &err)
	code, err := prepare(binary, c.config)
	if err != nil {
		return err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return fmt.Errorf("open artefact directory: %w", err)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, guestConfig(wazero.NewRuntimeConfigCompiler()).WithCompilationCache(cache))
	_, err = rt.CompileModule(ctx, code.Binary)
	if err != nil {
		err = classifyCompile(err)
	}
	return errors.Join(err, rt.Close(ctx), cache.Close(ctx))
}

// classifyCompile tells a bad module from a disk that did not take the artefact.
func classifyCompile(err error) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("write artefact: %w", err)
	}
	return &engine.InvalidModuleError{Err: err}
}

func (c *Compiler) Load(ctx context.Context, binary []byte, dir string) (engine.Module, error) {
	code, err := prepare(binary, c.config)
	if err != nil {
		return nil, err
	}
	l, err := c.loader()
	if err != nil {
		return nil, err
	}
	return l.load(ctx, code, dir)
}

func (c *Compiler) Close(ctx context.Context) error {
	return errors.Join(c.closed(ctx), c.Runtime.Close(ctx))
}

// loader is the runtime of modules that come from artefacts.
type loader struct {
	*Runtime
	cache wazero.CompilationCache
	root  string // made by us, removed by close
	dir   string // below root, where wazero looks artefacts up

	// loading has a lock for each artefact, or for several that share one.
	// wazero publishes a module that it loads before its entry points are made:
	// whoever gets it from a second load at the same time may jump nowhere.
	loading [64]sync.Mutex
}

// lazyLoader makes the loader at its first use: most processes that only
// compile never need its temporary directory.
func lazyLoader(ctx context.Context, config engine.Config) (get func() (*loader, error), closed func(context.Context) error) {
	var mu sync.Mutex
	var made *loader
	get = func() (_ *loader, err error) {
		mu.Lock()
		defer mu.Unlock()
		if made == nil {
			made, err = newLoader(ctx, config)
		}
		return made, err
	}
	closed = func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if made == nil {
			return nil
		}
		return made.Close(ctx)
	}
	return get, closed
}

func newLoader(ctx context.Context, config engine.Config) (_ *loader, err error) {
	root, err := os.MkdirTemp("", "wasmwhisk-wazero-")
	if err != nil {
		return nil, fmt.Errorf("make directory for loading artefacts: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(root)
		}
	}()
	cache, err := wazero.NewCompilationCacheWithDir(root)
	if err != nil {
		return nil, fmt.Errorf("open directory for loading artefacts: %w", err)
	}
	dir, err := onlyEntry(root)
	if err != nil {
		return nil, err
	}
	rt, err := newRuntime(ctx, config, "compiler", wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache))
	if err != nil {
		return nil, err
	}
	return &loader{Runtime: rt, cache: cache, root: root, dir: dir}, nil
}

// load links the artefact where wazero looks for it, under its own name, and
// has wazero compile the binary, which then only reads the artefact.
func (l *loader) load(ctx context.Context, c code, dir string) (engine.Module, error) {
	artefact, err := artefactFile(dir, filepath.Base(l.dir))
	if err != nil {
		return nil, err
	}
	link := filepath.Join(l.dir, filepath.Base(artefact))
	mu := &l.loading[crc32.ChecksumIEEE([]byte(link))%uint32(len(l.loading))]
	mu.Lock()
	defer mu.Unlock()
	if err := os.Symlink(artefact, link); err != nil {
		return nil, fmt.Errorf("link artefact: %w", err)
	}
	defer os.Remove(link)
	return l.compile(ctx, c)
}

func (l *loader) Close(ctx context.Context) error {
	return errors.Join(l.Runtime.Close(ctx), l.cache.Close(ctx), os.RemoveAll(l.root))
}

// artefactFile is the one file that Precompile left in dir, below the name that
// this version of wazero gives its directory.
func artefactFile(dir, version string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find artefact: %w", err)
	}
	return onlyEntry(filepath.Join(dir, version))
}

func onlyEntry(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("find artefact: %w", err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("find artefact: %d entries in %s, want one", len(entries), dir)
	}
	return filepath.Join(dir, entries[0].Name()), nil
}
