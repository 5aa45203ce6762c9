// Package wasmer runs guests on wasmer 2.0, which wasmer-go v1.0.4 packages. It is
// experimental, and for worker processes only: a guest can end the process that it
// runs in. Nothing but engines/wasmer/worker and tests may link it.
//
// Of wasmer-go only the library is used, through shim.c: its own bindings free
// traps twice and leave objects to finalizers that do not know their size. A module
// has an engine of its own, since wasmer frees code only with the engine, and is
// compiled when its first instance is made: a bound of its memory must be in the
// binary. A guest is stopped, and its stack bounded, by the rewriter's guard.
//
// Singlepass compiles; what it cannot compile, such as vectors, Cranelift does,
// more slowly. Neither knows exceptions, tail calls or garbage collection.
package wasmer
