package abi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"wasmwhisk/engine"
)

// maxArg is the longest input that is passed as an argument too, as the docker
// skeleton does: Linux takes no argument of more than 128 KiB with its end.
const maxArg = 128<<10 - 1

// command is a plain WASI program: JSON on stdin, JSON as the last line of
// stdout, as the docker skeleton's convention has it.
type command struct{}

func (command) Name() Name { return Command }

func (command) Feed(in Input) Feed {
	args := []string{"action"}
	if len(in.Value) <= maxArg {
		args = append(args, string(in.Value))
	}
	return Feed{Args: args, Stdin: in.Value}
}

func (command) Initialize(context.Context, engine.Instance) error { return nil }

// Invoke lets a program that fails still say why: an exit code other than 0
// counts only when the last line is no answer with an error.
func (command) Invoke(ctx context.Context, guest engine.Instance, _ Input, out Captured) (json.RawMessage, error) {
	failure := start(ctx, guest)
	if _, exited := errors.AsType[*engine.ExitError](failure); failure != nil && !exited {
		return nil, failure
	}
	line, err := out.TakeLastLine()
	if err != nil {
		return nil, err
	}
	result, err := dictionary(Command, line)
	if failure != nil && (err != nil || !HasError(result)) {
		return nil, failure
	}
	return result, err
}

// actionLoop is a program written for OpenWhisk's ActionLoop: a line of JSON
// with the value and the context on stdin, a line with the result on file
// descriptor 3. It sees the end of its input after one request.
type actionLoop struct{}

func (actionLoop) Name() Name { return ActionLoop }

func (actionLoop) Feed(in Input) Feed {
	return Feed{Args: []string{"action"}, Stdin: requestLine(in), FD3: true}
}

// requestLine puts the request on one line, whatever the layout of its value.
func requestLine(in Input) []byte {
	var line bytes.Buffer
	line.WriteString(`{"value":`)
	if err := json.Compact(&line, in.Value); err != nil {
		line.Write(in.Value)
	}
	for _, f := range in.Context {
		line.WriteByte(',')
		line.Write(quote(f.Name))
		line.WriteByte(':')
		line.Write(quote(f.Value))
	}
	line.WriteString("}\n")
	return line.Bytes()
}

// quote cannot fail: every Go string has a JSON form.
func quote(s string) []byte {
	b, _ := json.Marshal(s)
	return b
}

func (actionLoop) Initialize(context.Context, engine.Instance) error { return nil }

// Invoke takes the last line, since a program that was asked to acknowledge its
// start writes one before it.
func (actionLoop) Invoke(ctx context.Context, guest engine.Instance, _ Input, out Captured) (json.RawMessage, error) {
	if err := start(ctx, guest); err != nil {
		return nil, err
	}
	written, err := out.FD3()
	if err != nil {
		return nil, err
	}
	written = bytes.TrimSpace(written)
	return dictionary(ActionLoop, written[bytes.LastIndexByte(written, '\n')+1:])
}
