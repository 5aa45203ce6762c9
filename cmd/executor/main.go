// Command executor runs WebAssembly actions for Apache OpenWhisk: beside an
// invoker, in a container's place, or on the command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"wasmwhisk/cmd/executor/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ()}
	code := cli.Main(ctx, &env, os.Args[1:])
	stop()
	os.Exit(code)
}
