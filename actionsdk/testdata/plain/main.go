// Command plain is a reactor that knows the contract but not the SDK: nothing in
// it renews what a snapshot would freeze.
package main

import (
	"fmt"
	"math/rand/v2"
	"unsafe"
)

var input, result []byte

func main() {}

//go:wasmexport ow_alloc
func alloc(n uint32) uint32 {
	input = make([]byte, n+1)
	return uint32(uintptr(unsafe.Pointer(&input[0])))
}

//go:wasmexport ow_run
func run(_, _ uint32) uint64 {
	result = fmt.Appendf(nil, `{"random":"%d"}`, rand.Uint64())
	return uint64(uintptr(unsafe.Pointer(&result[0])))<<32 | uint64(len(result))
}
