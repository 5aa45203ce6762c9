//go:build cgo && linux && amd64

// Command worker runs activations on wasmer, for an executor that was started with
// --engine wasmer. It finds libwasmer.so beside itself, or where the go command put
// it. Without an argument it is a worker process (package engine/worker); with
// "version" it says which wasmer it has.
package main

import (
	"context"
	"fmt"
	"os"

	"wasmwhisk/engine"
	"wasmwhisk/engine/worker"
	"wasmwhisk/engines/wasmer"
)

func main() {
	if err := live(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func live(ctx context.Context) error {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		return version(ctx)
	}
	return worker.Main(ctx, open)
}

func open(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wasmer.New(ctx, config)
}

func version(ctx context.Context) error {
	rt, err := wasmer.New(ctx, engine.Config{})
	if err != nil {
		return err
	}
	fmt.Println(rt.Info().Version)
	return rt.Close(ctx)
}
