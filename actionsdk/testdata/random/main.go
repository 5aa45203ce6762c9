// Command random answers with numbers from every generator that Go has, and with
// its environment.
package main

import (
	"os"

	"wasmwhisk/actionsdk"
	"wasmwhisk/actionsdk/testdata/draw"
)

type answer struct {
	Numbers map[string]string
	Env     []string
	Found   bool // a variable that is not in the environment
}

func main() {
	actionsdk.Handle(func(actionsdk.Context, struct{}) (answer, error) {
		_, found := os.LookupEnv("__OW_API_KEY")
		return answer{Numbers: draw.Numbers(), Env: os.Environ(), Found: found}, nil
	})
}
