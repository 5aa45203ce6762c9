module wasmwhisk

go 1.26
