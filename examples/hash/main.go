// Command hash is an action that keeps the CPU busy: it hashes a text with
// BLAKE3, and then the hash, as often as it is told to.
package main

import (
	"errors"
	"fmt"
	"strings"

	"lukechampine.com/blake3"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(hash) }

type input struct {
	Iterations *int    `json:"iterations"`
	Input      *string `json:"input"`
}

type output struct {
	Hash string `json:"hash"`
}

func hash(_ actionsdk.Context, in input) (output, error) {
	if in.Iterations == nil || in.Input == nil {
		return output{}, errors.New("expected iterations and input")
	}
	sum := []byte(*in.Input)
	for range *in.Iterations {
		next := blake3.Sum256(sum)
		sum = next[:]
	}
	return output{list(sum)}, nil
}

// list writes bytes as Rust's debug format does: [af, 3, 1d].
func list(b []byte) string {
	digits := make([]string, len(b))
	for i, c := range b {
		digits[i] = fmt.Sprintf("%x", c)
	}
	return "[" + strings.Join(digits, ", ") + "]"
}
