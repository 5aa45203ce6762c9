package wazero

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

// loader is the runtime of modules that come from artefacts.
type loader struct {
	*Runtime
	cache  wazero.CompilationCache
	offers offers
	temp   *tempDir // where copies are, removed by Close; nil where code is mapped

	// loading has a lock for each artefact, or for several that share one.
	// wazero publishes a module that it loads before its entry points are made:
	// whoever gets it from a second load at the same time may jump nowhere.
	loading [64]sync.Mutex
}

// offers are what wazero finds under the names of code.
type offers interface {
	// offer has a name lead to the code of the artefact in a directory.
	offer(name, dir string) error

	// withdraw tells whether the name still led there: wazero puts what it compiled
	// in the place of what it looked for.
	withdraw(name string) bool
}

// lazy is a runtime that is made at its first use: most processes that only
// compile never need one beside their own.
type lazy[R interface{ Close(context.Context) error }] struct {
	make func() (R, error)

	mu     sync.Mutex
	made   R
	exists bool
}

func (l *lazy[R]) get() (_ R, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.exists {
		l.made, err = l.make()
		l.exists = err == nil
	}
	return l.made, err
}

func (l *lazy[R]) close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.exists {
		return nil
	}
	return l.made.Close(ctx)
}

func newLoader(ctx context.Context, config engine.Config) (_ *loader, err error) {
	l := &loader{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.temp.remove())
		}
	}()
	if err := l.openCache(config); err != nil {
		return nil, err
	}
	l.Runtime, err = newRuntime(ctx, config, "compiler", wazero.NewRuntimeConfigCompiler().WithCompilationCache(l.cache))
	if err != nil {
		return nil, err
	}
	return l, nil
}

// openCache has wazero look where code is mapped from, or else in a directory.
func (l *loader) openCache(config engine.Config) (err error) {
	if !config.CopyCode {
		l.cache = wazero.NewCompilationCache()
		if mapping := interpose(l.cache); mapping != nil {
			l.offers = mapping
			return nil
		}
	}
	if l.temp, err = newTempDir(os.TempDir()); err != nil {
		return fmt.Errorf("make directory for loading artefacts: %w", err)
	}
	if l.cache, err = wazero.NewCompilationCacheWithDir(l.temp.path); err != nil {
		return fmt.Errorf("open directory for loading artefacts: %w", err)
	}
	dir, err := onlyEntry(l.temp.path)
	if err != nil {
		return err
	}
	l.offers = &copies{dir: dir, made: map[string]fs.FileInfo{}}
	return nil
}

// load offers the code of an artefact where wazero looks for it, and has wazero
// compile the skeleton, which then only reads the code.
func (l *loader) load(ctx context.Context, a artefact) (engine.Module, error) {
	mu := &l.loading[crc32.ChecksumIEEE([]byte(a.Name))%uint32(len(l.loading))]
	mu.Lock()
	defer mu.Unlock()
	if err := l.offers.offer(a.Name, a.dir); err != nil {
		return nil, fmt.Errorf("offer artefact: %w", err)
	}
	m, err := l.compileMapped(neverCompile(ctx), a.prepared())
	untouched := l.offers.withdraw(a.Name)
	if err != nil {
		return nil, fmt.Errorf("load artefact: %v", err) //nolint:errorlint // not to be taken for the binary's fault
	}
	if !untouched {
		return nil, errors.Join(errCompiled, m.Close(ctx))
	}
	contents, err := a.contents(l.Runtime)
	if err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	m.startWith(contents)
	return m, nil
}

// compileMapped has machine code that the disk does not give end in an error: wazero
// looks at all of it here for its checksum.
func (l *loader) compileMapped(ctx context.Context, c code) (*module, error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return l.compile(ctx, c)
}

// copies are files with code as wazero reads it alone, in the directory where it looks.
type copies struct {
	dir string

	mu   sync.Mutex
	made map[string]fs.FileInfo
}

func (c *copies) offer(name, dir string) error {
	at := filepath.Join(c.dir, name)
	if err := restoreCode(dir, at); err != nil {
		_ = os.Remove(at)
		return err
	}
	info, err := os.Lstat(at)
	if err != nil {
		_ = os.Remove(at)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[name] = info
	return nil
}

func (c *copies) withdraw(name string) bool {
	at := filepath.Join(c.dir, name)
	after, err := os.Lstat(at)
	_ = os.Remove(at)
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.made[name]
	delete(c.made, name)
	return err == nil && os.SameFile(before, after)
}

var (
	errNoCode   = errors.New("no machine code for the module")
	errCompiled = errors.New("load artefact: the skeleton was compiled")
)

// neverCompile gives a context with which wazero finds code but makes none: with
// workers it looks at the context before each function that it compiles, and
// nowhere else. A skeleton that was compiled would trap wherever it is called.
func neverCompile(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel(errNoCode)
	return experimental.WithCompilationWorkers(ctx, 2)
}

func (l *loader) Close(ctx context.Context) error {
	return errors.Join(l.Runtime.Close(ctx), l.cache.Close(ctx), l.temp.remove())
}
