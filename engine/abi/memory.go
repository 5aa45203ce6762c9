package abi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"wasmwhisk/engine"
)

// initialize calls _initialize, which a reactor exports when it has start-up
// work of its own.
func initialize(ctx context.Context, guest engine.Instance) error {
	_, err := guest.Call(ctx, "_initialize")
	if errors.Is(err, engine.ErrNoExport) {
		return nil
	}
	return err
}

// start calls _start. Ending by exit code 0 is as good as returning.
func start(ctx context.Context, guest engine.Instance) error {
	_, err := guest.Call(ctx, "_start")
	if exit, ok := errors.AsType[*engine.ExitError](err); ok && exit.Code == 0 {
		return nil
	}
	return err
}

// pass has the guest make room through an allocating export, and writes data
// there.
func pass(ctx context.Context, guest engine.Instance, name Name, alloc string, data []byte) (uint32, error) {
	at, err := guest.Call(ctx, alloc, uint64(len(data)))
	if err != nil {
		return 0, err
	}
	return uint32(at[0]), put(guest, name, alloc, uint32(at[0]), data)
}

// put writes data where the guest said that it wants it.
func put(guest engine.Instance, name Name, from string, at uint32, data []byte) error {
	room, err := guest.Memory().Range(at, uint32(len(data)))
	if err != nil {
		return &ProtocolError{Contract: name, Err: fmt.Errorf("room for the input, from %s: %w", from, err)}
	}
	copy(room, data)
	return nil
}

// read copies a result out of the guest's memory. The size is checked before
// anything is copied.
func read(guest engine.Instance, name Name, at, n uint32, limit int) ([]byte, error) {
	if uint64(n) > uint64(limit) {
		return nil, &engine.LimitError{What: "result", Unit: "bytes", Limit: uint64(limit), Wanted: uint64(n)}
	}
	result, err := guest.Memory().Range(at, n)
	if err != nil {
		return nil, &ProtocolError{Contract: name, Err: fmt.Errorf("result: %w", err)}
	}
	return bytes.Clone(result), nil
}

// dictionary accepts the JSON of an object or array.
func dictionary(name Name, raw []byte) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' || !json.Valid(raw) {
		return nil, &ProtocolError{Contract: name, Err: ErrNotDictionary}
	}
	return raw, nil
}
