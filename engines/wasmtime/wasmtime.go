//go:build cgo && linux && amd64

package wasmtime

/*
#cgo CFLAGS: -O2
#include "shim.h"
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"

	wasmtime "github.com/bytecodealliance/wasmtime-go/v44"
	"golang.org/x/sys/unix"

	"wasmwhisk/engine"
	"wasmwhisk/engines/internal/kept"
)

var (
	_ engine.Precompiler = (*Runtime)(nil)
	_ engine.Snapshotter = (*module)(nil)
	_ engine.Resetter    = (*instance)(nil)
)

// Missing says why this binary cannot open the engine, "" if it can.
const Missing = ""

// Runtime implements [engine.Precompiler].
type Runtime struct {
	config engine.Config
	engine *wasmtime.Engine
	ticker *ticker

	linkers [ways]*C.wasmtime_linker_t
	places  [ways]places
	threads int // guests that may block threads before others run on fibers

	budget *budget
	states *kept.Budget // of snapshots
	dirty  dirtyFinder
	open   opened
}

// New returns an engine that compiles modules.
func New(_ context.Context, config engine.Config) (engine.Precompiler, error) {
	return newRuntime(config, maxThreads)
}

func newRuntime(config engine.Config, threads int) (*Runtime, error) {
	if err := errors.Join(config.Validate(), checkStack()); err != nil {
		return nil, err
	}
	config = config.WithDefaults()
	r := &Runtime{
		config:  config,
		engine:  newEngine(),
		places:  [ways]places{onThread: make(places, maxCalls), onFiber: make(places, maxTurns)},
		threads: threads,
		budget:  &budget{Budget: kept.New(config.IdleBytes)},
		states:  kept.New(config.SnapshotBytes),
		dirty:   newDirtyFinder(),
	}
	for way := range r.linkers {
		r.linkers[way] = C.wasmtime_linker_new(enginePointer(r.engine))
	}
	if err := r.defineHostFuncs(); err != nil {
		r.release()
		return nil, err
	}
	r.ticker = startTicker(r.engine)
	return r, nil
}

const (
	// maxStack is how much native stack a guest may take.
	maxStack = 512 << 10

	// leastStack is what threads need to have for guests and what they call.
	leastStack = 1 << 20
)

// checkStack refuses threads on which a guest could go past the end of the stack
// before the engine stops it: that would end the process.
func checkStack() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_STACK, &limit); err != nil {
		return fmt.Errorf("find the size of stacks: %w", err)
	}
	if limit.Cur < leastStack {
		return fmt.Errorf("threads have stacks of %d bytes, the engine needs %d: raise ulimit -s", limit.Cur, leastStack)
	}
	return nil
}

// newEngine switches off what nobody asked for; the rewriter refuses most of it
// before the engine sees it. Support for garbage collection stays, since external
// references need it.
func newEngine() *wasmtime.Engine {
	c := wasmtime.NewConfig()
	c.SetEpochInterruption(true)
	c.SetMaxWasmStack(maxStack)
	c.SetWasmComponentModel(false)
	c.SetWasmThreads(false)
	c.SetWasmMemory64(false)
	c.SetWasmMultiMemory(false)
	c.SetWasmTailCall(false)
	c.SetWasmFunctionReferences(false)
	c.SetWasmGC(false)
	c.SetWasmRelaxedSIMD(false)
	c.SetWasmWideArithmetic(false)
	c.SetMemoryInitCOWSet(false) // memories are ours
	C.ww_setup((*C.wasm_config_t)(first(unsafe.Pointer(c))))
	return wasmtime.NewEngineWithConfig(c)
}

// first is the pointer that a value of wasmtime-go wraps, its first field. A test
// holds the library to that.
func first(value unsafe.Pointer) unsafe.Pointer { return *(*unsafe.Pointer)(value) }

func enginePointer(e *wasmtime.Engine) *C.wasm_engine_t {
	return (*C.wasm_engine_t)(first(unsafe.Pointer(e)))
}

func modulePointer(m *wasmtime.Module) *C.wasmtime_module_t {
	return (*C.wasmtime_module_t)(first(unsafe.Pointer(m)))
}

func (r *Runtime) Info() engine.Info {
	return engine.Info{Name: "wasmtime", Version: version(), Mode: "compiler", Note: r.dirty.note()}
}

// version is that of the wasmtime-go module in this binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == "github.com/bytecodealliance/wasmtime-go/v44" {
			return dep.Version
		}
	}
	return "unknown"
}

func (r *Runtime) Compile(_ context.Context, binary []byte) (engine.Module, error) {
	c, err := r.prepare(binary)
	if err != nil {
		return nil, err
	}
	compiled, err := wasmtime.NewModule(r.engine, c.Binary)
	if err != nil {
		return nil, &engine.InvalidModuleError{Err: err}
	}
	return newModule(r, compiled, c), nil
}

// Close may be called twice.
func (r *Runtime) Close(context.Context) error {
	if !r.open.close() {
		return nil
	}
	r.ticker.stop()
	r.release()
	return nil
}

func (r *Runtime) release() {
	for _, linker := range r.linkers {
		C.wasmtime_linker_delete(linker)
	}
	r.engine.Close()
	r.dirty.close()
}

// goText takes a text that C allocated.
func goText(text *C.char) string {
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text)
}

// errorOf is the error that a function of the shim gave, nil for none.
func errorOf(doing string, text *C.char) error {
	if text == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, errors.New(goText(text)))
}
