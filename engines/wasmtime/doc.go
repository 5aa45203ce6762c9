// Package wasmtime runs guests on wasmtime, which compiles modules ahead of
// time and needs cgo. A binary without it says so in [Missing].
//
// wasmtime-go configures the engine, compiles, and loads. The rest of a guest's
// life goes through shim.c: one call of C to make an instance, one for each call
// into it, and host functions without boxed values. What wasmtime itself does
// with memories is replaced by memories of ours, which are used again and again
// and can be put back page by page; RATIONALE.md has why.
//
// A guest is stopped by epochs: a ticker counts time while guests run, and each
// guest looks at its context whenever it was counted. Guests and the host functions
// they wait for keep a thread of the system each, up to a number; more run on fibers,
// stacks that they leave whenever they wait (fiber.go).
package wasmtime
