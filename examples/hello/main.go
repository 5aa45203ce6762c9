// Command hello is an action that greets whoever is named.
package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Start(hello) }

func hello(event json.RawMessage) (json.RawMessage, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, errors.New("no name specified")
	}
	fmt.Println("greeting", in.Name) // what an action prints is its log
	return json.Marshal(map[string]string{"greetings": "Hello, " + in.Name})
}
