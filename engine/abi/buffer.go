package abi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"wasmwhisk/engine"
)

// The exports of ow-wasm-action.
const (
	wowAllocate = "wasm_memory_buffer_allocate_space"
	wowPointer  = "get_wasm_memory_buffer_pointer"
	wowLength   = "get_wasm_memory_buffer_len"
)

// wow is the contract of ow-wasm-action: one buffer, for the input and then for
// a Rust Result in JSON.
type wow struct{}

func (wow) Name() Name { return Wow }

func (wow) Feed(in Input) Feed { return Feed{Args: []string{strconv.Itoa(len(in.Value))}} }

func (wow) Initialize(context.Context, engine.Instance) error { return nil }

func (wow) Invoke(ctx context.Context, guest engine.Instance, in Input, _ Captured) (json.RawMessage, error) {
	if _, err := guest.Call(ctx, wowAllocate, uint64(len(in.Value))); err != nil {
		return nil, err
	}
	at, err := word(ctx, guest, wowPointer)
	if err != nil {
		return nil, err
	}
	if err := put(guest, Wow, wowPointer, at, in.Value); err != nil {
		return nil, err
	}
	raw, err := startAndRead(ctx, guest, Wow, wowPointer, wowLength, in.MaxResult)
	if err != nil {
		return nil, err
	}
	return unwrap(raw)
}

// unwrap takes the answer out of {"Ok":…} or {"Err":…}.
func unwrap(raw []byte) (json.RawMessage, error) {
	var result struct{ Ok, Err json.RawMessage }
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, &ProtocolError{Contract: Wow, Err: fmt.Errorf("result: %w", err)}
	}
	switch {
	case result.Ok != nil:
		return dictionary(Wow, result.Ok)
	case result.Err == nil:
		return nil, &ProtocolError{Contract: Wow, Err: fmt.Errorf("the result is neither Ok nor Err")}
	case HasError(result.Err):
		return result.Err, nil
	}
	return append(append(json.RawMessage(`{"error":`), result.Err...), '}'), nil
}

// setInput is the memory contract of OW_wasm_executor.
type setInput struct{}

func (setInput) Name() Name { return SetInput }

func (setInput) Feed(Input) Feed { return Feed{Args: []string{"action"}} }

func (setInput) Initialize(context.Context, engine.Instance) error { return nil }

func (setInput) Invoke(ctx context.Context, guest engine.Instance, in Input, _ Captured) (json.RawMessage, error) {
	if _, err := pass(ctx, guest, SetInput, "set_input", in.Value); err != nil {
		return nil, err
	}
	raw, err := startAndRead(ctx, guest, SetInput, "get_result", "get_result_len", in.MaxResult)
	if err != nil {
		return nil, err
	}
	return dictionary(SetInput, raw)
}

// startAndRead runs the guest and reads the result where its exports say. The
// guest has to return for that: one that exits, whatever its code, is spent.
func startAndRead(ctx context.Context, guest engine.Instance, name Name, pointer, length string, limit int) ([]byte, error) {
	if _, err := guest.Call(ctx, "_start"); err != nil {
		return nil, err
	}
	at, err := word(ctx, guest, pointer)
	if err != nil {
		return nil, err
	}
	n, err := word(ctx, guest, length)
	if err != nil {
		return nil, err
	}
	return read(guest, name, at, n, limit)
}

// word calls an export that gives one i32.
func word(ctx context.Context, guest engine.Instance, export string) (uint32, error) {
	v, err := guest.Call(ctx, export)
	if err != nil {
		return 0, err
	}
	return uint32(v[0]), nil
}
