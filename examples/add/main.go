// Command add is an action that adds two integers.
package main

import (
	"encoding/json"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(add) }

type sum struct {
	Result int64 `json:"result"`
}

func add(_ actionsdk.Context, in map[string]json.RawMessage) (sum, error) {
	a, err := integer(in, "param1")
	if err != nil {
		return sum{}, err
	}
	b, err := integer(in, "param2")
	if err != nil {
		return sum{}, err
	}
	return sum{Result: a + b}, nil
}

func integer(in map[string]json.RawMessage, name string) (int64, error) {
	text, ok := in[name]
	if !ok {
		return 0, paramError{name, "present"}
	}
	// A pointer tells null, which is no integer, from 0.
	var n *int64
	if err := json.Unmarshal(text, &n); err != nil || n == nil {
		return 0, paramError{name, "an i64"}
	}
	return *n, nil
}

// paramError is worded as in ow-wasm-action.
type paramError struct{ name, want string }

func (e paramError) Error() string { return "Expected " + e.name + " to be " + e.want }
