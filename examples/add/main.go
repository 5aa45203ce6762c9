// Command add is an action that adds two integers.
package main

import (
	"encoding/json"
	"strconv"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(add) }

type sum struct {
	Result int64 `json:"result"`
}

type params struct {
	Param1 json.RawMessage `json:"param1"`
	Param2 json.RawMessage `json:"param2"`
}

func add(_ actionsdk.Context, in params) (sum, error) {
	a, err := integer("param1", in.Param1)
	if err != nil {
		return sum{}, err
	}
	b, err := integer("param2", in.Param2)
	if err != nil {
		return sum{}, err
	}
	return sum{Result: a + b}, nil
}

// integer reads a number as JSON spells integers.
func integer(name string, text json.RawMessage) (int64, error) {
	if text == nil {
		return 0, paramError{name, "present"}
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, paramError{name, "an i64"}
	}
	return n, nil
}

// paramError is worded as in ow-wasm-action.
type paramError struct{ name, want string }

func (e paramError) Error() string { return "Expected " + e.name + " to be " + e.want }
