package wazero

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
)

// loader is the runtime of modules that come from artefacts.
type loader struct {
	*Runtime
	cache wazero.CompilationCache
	temp  *tempDir // removed by Close
	dir   string   // below it, where wazero looks code up

	mapped bool // wazero reads through mappingCache

	// loading has a lock for each artefact, or for several that share one.
	// wazero publishes a module that it loads before its entry points are made:
	// whoever gets it from a second load at the same time may jump nowhere.
	loading [64]sync.Mutex
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
	root, err := newTempDir(os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("make directory for loading artefacts: %w", err)
	}
	defer func() {
		if err != nil {
			_ = root.remove()
		}
	}()
	cache, err := wazero.NewCompilationCacheWithDir(root.path)
	if err != nil {
		return nil, fmt.Errorf("open directory for loading artefacts: %w", err)
	}
	dir, err := onlyEntry(root.path)
	if err != nil {
		return nil, err
	}
	mapped := !config.CopyCode && interpose(cache)
	rt, err := newRuntime(ctx, config, "compiler", wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache))
	if err != nil {
		return nil, err
	}
	return &loader{Runtime: rt, cache: cache, temp: root, dir: dir, mapped: mapped}, nil
}

// load offers the code of an artefact where wazero looks for it, and has wazero
// compile the skeleton, which then only reads the code.
func (l *loader) load(ctx context.Context, a artefact) (engine.Module, error) {
	offer := filepath.Join(l.dir, a.Name)
	mu := &l.loading[crc32.ChecksumIEEE([]byte(offer))%uint32(len(l.loading))]
	mu.Lock()
	defer mu.Unlock()
	defer os.Remove(offer)
	before, err := l.offer(a.code, offer)
	if err != nil {
		return nil, fmt.Errorf("offer artefact: %w", err)
	}
	m, err := l.compile(neverCompile(ctx), a.prepared())
	if err != nil {
		return nil, fmt.Errorf("load artefact: %v", err) //nolint:errorlint // not to be taken for the binary's fault
	}
	// wazero puts what it compiled in the place of what it looked for.
	if after, err := os.Lstat(offer); err != nil || !os.SameFile(before, after) {
		return nil, errors.Join(errCompiled, m.Close(ctx))
	}
	return m, nil
}

// offer leaves a link to a code file, or its content as wazero reads it alone.
func (l *loader) offer(code, at string) (fs.FileInfo, error) {
	var err error
	if l.mapped {
		err = os.Symlink(code, at)
	} else {
		err = restoreCode(code, at)
	}
	if err != nil {
		return nil, err
	}
	return os.Lstat(at)
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
