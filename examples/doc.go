// Package examples stands above the example actions, one directory each; its
// tests build every one of them in both forms of a module and run it. They do
// what the examples of ow-wasm-action do, with the same inputs, answers and
// errors.
package examples
