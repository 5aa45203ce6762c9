// Command random is an action that gives a random number of 64 bits.
package main

import (
	"crypto/rand"
	"encoding/binary"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(random) }

type output struct {
	Random uint64 `json:"random"`
}

func random(actionsdk.Context, struct{}) (output, error) {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return output{binary.LittleEndian.Uint64(b[:])}, nil
}
