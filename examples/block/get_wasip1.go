package main

// get is the import of ow-wasm-action: it takes 300 ms.
//
//go:wasmimport http get
func get() int32
