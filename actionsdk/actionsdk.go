// Package actionsdk turns a Go function into an OpenWhisk action.
//
//	package main
//
//	import "wasmwhisk/actionsdk"
//
//	type person struct{ Name string }
//	type greeting struct{ Greeting string }
//
//	func main() {
//		actionsdk.Handle(func(ctx actionsdk.Context, p person) (greeting, error) {
//			return greeting{"Hello, " + p.Name}, nil
//		})
//	}
//
// The same source builds in three forms, and main is nothing but the call of
// [Handle] or [Start] in all of them:
//
//   - a reactor, the form for this executor:
//     GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o hello.wasm
//   - a WASI command, which any WASI runtime runs: JSON on stdin or as the first
//     argument, the answer as the last line of stdout. This executor uses it as a
//     reactor once it has started:
//     GOOS=wasip1 GOARCH=wasm go build -o hello.wasm
//   - a native program, for containers and for trying out; see [Start].
//
// What an action prints is its log. An error that it returns becomes the answer
// {"error":"…"}; a panic ends it and is an error of its developer.
//
// # Modules
//
// A module needs nothing but WASI: only package fetch imports more, and with it
// an action that uses it. In a reactor, package variables are initialized when
// the sandbox is made and main runs before the first input. Code after the call
// of Start or Handle runs before the input is there, so leave none.
package actionsdk

import (
	"encoding/json"
	"fmt"
	"os"
)

// Handler computes the answer to an event, both JSON objects or arrays. It must
// not keep the event. The empty answer stands for {}.
type Handler func(event json.RawMessage) (json.RawMessage, error)

// Start makes handler the action of this program.
//
// A reactor hands its inputs to it from then on, and Start returns at once.
// Every other form serves until there is nothing left to do. A native program
//
//   - with an argument answers it on stdout and ends, as the docker skeleton
//     wants it; so it does with stdin if only __OW_ACTIVATION_ID is set, the
//     argument having been too long;
//   - with pipes as stdin and file descriptor 3 speaks the ActionLoop protocol;
//   - else serves /init and /run of the runtime protocol, on :8080 or the
//     address in WASMWHISK_ADDR, until it is interrupted.
//
// A program that cannot begin ends with exit code 1 and the reason on stderr.
func Start(handler Handler) {
	if err := start(handler); err != nil {
		fmt.Fprintln(os.Stderr, "actionsdk:", err)
		os.Exit(1)
	}
}

// Handle is [Start] for a function with types: T is decoded from the event and
// U encoded into the answer by encoding/json. An event that is no T is answered
// with an error.
func Handle[T, U any](handle func(ctx Context, in T) (U, error)) {
	beforehand(codec[T, U])
	Start(typed(handle))
}

// codec has encoding/json decode a T and encode a U: it learns a type at its first
// use, and needs memory of the sizes that the next use will need.
func codec[T, U any]() {
	var in T
	_ = json.Unmarshal([]byte("{}"), &in)
	if event, err := json.Marshal(in); err == nil {
		_ = json.Unmarshal(event, &in)
	}
	var out U
	_, _ = json.Marshal(out)
}

func typed[T, U any](handle func(ctx Context, in T) (U, error)) Handler {
	return func(event json.RawMessage) (json.RawMessage, error) {
		var in T
		if err := json.Unmarshal(event, &in); err != nil {
			return nil, fmt.Errorf("input: %w", err)
		}
		ctx, cancel := activationContext()
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}
