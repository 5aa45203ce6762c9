// Command probe is an action for tests of the executor: what it does is what
// its input says.
package main

import (
	"encoding/json"
	"errors"
	"os"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Start(probe) }

// calls counts what this sandbox was asked.
var calls int

type input struct {
	Op    string `json:"op"`
	Text  string `json:"text"`
	Code  int    `json:"code"`
	Bytes int    `json:"bytes"`
}

func probe(event json.RawMessage) (json.RawMessage, error) {
	var in input
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, err
	}
	calls++
	result, err := in.do()
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func (in input) do() (any, error) {
	switch in.Op {
	case "calls":
		return map[string]int{"calls": calls}, nil
	case "exit":
		os.Exit(in.Code)
	case "panic":
		panic(in.Text)
	case "allocate":
		return map[string]int{"bytes": len(make([]byte, in.Bytes))}, nil
	}
	return nil, errors.New("no op " + in.Op)
}
