// Package wazero runs guests on wazero, without cgo, as compiled code or
// interpreted. It is the default engine.
//
// A context that ends stops a guest at its next loop header or call of a host
// function; wazero looks nowhere else. Only interpose relies on wazero's
// internals, and does without if they are others.
package wazero

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine"
	"wasmwhisk/engines/internal/kept"
)

var (
	_ engine.WasmRuntime = (*Runtime)(nil)
	_ engine.Precompiler = (*Compiler)(nil)
	_ engine.Interpreter = (*Compiler)(nil)
)

// Runtime implements [engine.WasmRuntime].
type Runtime struct {
	config  engine.Config
	mode    string
	fuel    uint64 // that a guest gets at a time
	runtime wazero.Runtime
	budget  *kept.Budget // of memories
	states  *kept.Budget // of snapshots
	dirty   dirtyFinder
	turns   *turns

	forecast *forecast // nil where all of a module is compiled
}

func newRuntime(ctx context.Context, config engine.Config, mode string, rc wazero.RuntimeConfig) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.WithDefaults()
	r := &Runtime{
		config:  config,
		mode:    mode,
		fuel:    fullFuel,
		runtime: wazero.NewRuntimeWithConfig(ctx, guestConfig(rc)),
		budget:  kept.New(config.IdleBytes),
		states:  kept.New(config.SnapshotBytes),
		dirty:   newDirtyFinder(),
		turns:   newTurns(),
	}
	if err := r.instantiateHostModules(ctx); err != nil {
		_ = r.runtime.Close(ctx)
		return nil, err
	}
	return r, nil
}

// guestConfig is what every runtime of ours has in common. Debug information is
// off because wazero would symbolise the stack of every exit with it, which
// costs milliseconds on an unstripped module.
func guestConfig(rc wazero.RuntimeConfig) wazero.RuntimeConfig {
	return rc.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithDebugInfoEnabled(false)
}

func (r *Runtime) Info() engine.Info {
	return engine.Info{Name: "wazero", Version: version(), Mode: r.mode, Note: r.dirty.note()}
}

// version is that of the wazero module in this binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/tetratelabs/wazero" {
			return dep.Version
		}
	}
	return "unknown"
}

func (r *Runtime) Compile(ctx context.Context, binary []byte) (engine.Module, error) {
	c, err := prepare(binary, r.config)
	if err != nil {
		return nil, err
	}
	if err := r.check(c); err != nil {
		return nil, err
	}
	if err := validateUnsure(binary, c); err != nil {
		return nil, err
	}
	m, err := r.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// compile stays on this goroutine: wazero could compile functions side by side,
// but a panic on a goroutine of its own would end the process.
func (r *Runtime) compile(ctx context.Context, c code) (_ *module, err error) {
	defer recovered("compile", &err)
	compiled, err := r.runtime.CompileModule(ctx, c.Binary)
	if err != nil {
		return nil, &engine.InvalidModuleError{Err: err}
	}
	return newModule(r, compiled, c), nil
}

// newContents takes over what the memories of a module or a snapshot start with.
func (r *Runtime) newContents(bytes []byte) (*contents, error) {
	c, err := newContents(bytes, r.dirty)
	if err == nil {
		c.checked = r.config.CheckResets
	}
	return c, err
}

// openContents gives the contents of a file that has so many bytes, for memories of
// so many pages. The file may be removed then.
func (r *Runtime) openContents(path string, bytes int, pages uint32) (*contents, error) {
	if bytes < 0 || int64(bytes) > int64(pages)*engine.PageSize {
		return nil, fmt.Errorf("open memory image: %d bytes are not for %d pages", bytes, pages)
	}
	c, err := openContents(path, r.dirty, !r.config.CopyCode)
	if err != nil {
		return nil, err
	}
	if len(c.bytes) != bytes {
		c.close()
		return nil, fmt.Errorf("open memory image: %d bytes, want %d", len(c.bytes), bytes)
	}
	c.checked = r.config.CheckResets
	return c, nil
}

func (r *Runtime) Close(ctx context.Context) error {
	r.dirty.close()
	return r.runtime.Close(ctx)
}

// recovered turns a panic of wazero's over a binary it could not cope with into
// an error: an upload must not end the process.
func recovered(doing string, err *error) {
	if p := recover(); p != nil {
		*err = &engine.InvalidModuleError{Err: fmt.Errorf("%s: engine panicked: %v", doing, p)}
	}
}
