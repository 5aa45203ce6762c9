//go:build cgo && linux && amd64

// Command worker runs activations on wasmer, for an executor that was started with
// --engine wasmer, which also has it compile. It finds libwasmer.so beside itself, or
// where the go command put it.
//
//	wasmer-worker serve PAGES        a worker process (package engine/worker)
//	wasmer-worker compile PAGES      a compiler process (package precompile)
//	wasmer-worker bench              measures, for another process (package engine/enginebench)
//	wasmer-worker fingerprint PAGES  says what artefacts depend on
//	wasmer-worker version            says which wasmer it has
//
// PAGES is the bound of memory that artefacts are for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginebench"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/engines/wasmer"
	"wasmwhisk/precompile"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	pages := bound(0)
	if len(args) == 2 {
		n, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return fmt.Errorf("memory of pages: %w", err)
		}
		pages = bound(n)
	}
	if len(args) == 0 {
		return errors.New("what to do: serve, compile, bench, fingerprint or version")
	}
	switch args[0] {
	case "serve":
		return worker.Main(ctx, pages.serve)
	case "compile":
		return precompile.ChildMain(ctx, os.Stdin, os.Stdout, pages.compile)
	case "bench":
		return enginebench.Serve(ctx, os.Stdin, os.Stdout, openEager)
	case "fingerprint", "version":
		return pages.tell(ctx, args[0])
	}
	return fmt.Errorf("cannot %q", args[0])
}

// bound is the memory that artefacts are for, in pages.
type bound uint32

func (b bound) serve(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmer.New(ctx, config, uint32(b))
}

func (b bound) compile(ctx context.Context) (engine.Precompiler, error) {
	return wasmer.New(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()}, uint32(b))
}

func (b bound) tell(ctx context.Context, what string) error {
	rt, err := b.compile(ctx)
	if err != nil {
		return err
	}
	text := rt.Fingerprint()
	if what == "version" {
		text = rt.Info().Version
	}
	fmt.Println(text)
	return rt.Close(ctx)
}

// eager makes machine code of a module at once, as others do, rather than with the
// first instance: so it is measured.
type eager struct{ *wasmer.Runtime }

func openEager(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	rt, err := wasmer.New(ctx, config, 0)
	return eager{rt}, err
}

func (e eager) Compile(ctx context.Context, binary []byte) (engine.Module, error) {
	m, err := e.Runtime.Compile(ctx, binary)
	if err != nil {
		return nil, err
	}
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, instance.Close(ctx)
}
