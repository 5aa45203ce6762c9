// Command plain is a reactor that knows the contract but not the SDK: nothing in
// it renews what a snapshot would freeze. It answers with numbers drawn while it
// started and since.
package main

import (
	"encoding/json"
	"unsafe"

	"wasmwhisk/actionsdk/testdata/draw"
)

var (
	drawn         = draw.Numbers()
	input, result []byte
)

func main() {}

//go:wasmexport ow_alloc
func alloc(n uint32) uint32 {
	input = make([]byte, n+1)
	return uint32(uintptr(unsafe.Pointer(&input[0])))
}

//go:wasmexport ow_run
func run(_, _ uint32) uint64 {
	var err error
	result, err = json.Marshal(map[string]any{"first": drawn, "then": draw.Numbers()})
	if err != nil {
		panic(err)
	}
	return uint64(uintptr(unsafe.Pointer(&result[0])))<<32 | uint64(len(result))
}
