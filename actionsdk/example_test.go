package actionsdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"

	"wasmwhisk/actionsdk"
)

type person struct {
	Name string `json:"name"`
}

type greeting struct {
	Greeting string `json:"greeting"`
}

func greet(ctx actionsdk.Context, p person) (greeting, error) {
	if p.Name == "" {
		return greeting{}, errors.New("no name specified")
	}
	return greeting{"Hello, " + p.Name}, nil
}

func ExampleHandle() {
	os.Args = []string{"greet", `{"name":"Mike"}`} // as the docker skeleton runs it
	actionsdk.Handle(greet)
	// Output: {"greeting":"Hello, Mike"}
}

func ExampleHandle_error() {
	os.Args = []string{"greet", `{}`}
	actionsdk.Handle(greet)
	// Output: {"error":"no name specified"}
}

func ExampleStart() {
	os.Args = []string{"upper", `["a","b"]`}
	actionsdk.Start(func(event json.RawMessage) (json.RawMessage, error) {
		return bytes.ToUpper(event), nil
	})
	// Output: ["A","B"]
}
