// Command plain uses no SDK: it reads a JSON object from its standard input, byte
// by byte, and answers with that, with its environment, and with numbers from every
// generator that Go has, drawn while it started and since.
package main

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"testing/iotest"

	"wasmwhisk/actionsdk/testdata/draw"
)

var (
	drawn = draw.Numbers()
	salt  = maphash.MakeSeed()
)

func main() {
	input, err := io.ReadAll(iotest.OneByteReader(os.Stdin))
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"input": json.RawMessage(input),
		"env":   os.Environ(),
		"first": drawn,
		"then":  draw.Numbers(),
		"salt":  fmt.Sprint(maphash.String(salt, "")),
	})
	if err != nil {
		panic(err)
	}
}
