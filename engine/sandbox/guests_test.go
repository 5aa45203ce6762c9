package sandbox_test

import "strings"

// The guests of the tests, in WebAssembly text. They are reactors unless they
// say otherwise: ow_alloc gives a fixed place, ow_run answers.

// reactor wraps the body of ow_run and further fields into a guest. The input
// lies at 1024 on.
func reactor(run, fields string) string {
	return `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "{\"ok\":true}\n")
  (global $ok i64 (i64.const 11)) ;; pointer 0, length 11
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "ow_run") (param $at i32) (param $n i32) (result i64)
    (local $i i32)
    ` + run + `)
  ` + fields + `)`
}

// importing puts an import in front of a guest's own.
func importing(imp, src string) string { return strings.Replace(src, "(module", "(module "+imp, 1) }

// say writes n bytes at p to fd and drops the result.
const say = `
  (func $say (param $fd i32) (param $p i32) (param $n i32)
    (i32.store (i32.const 256) (local.get $p))
    (i32.store (i32.const 260) (local.get $n))
    (drop (call $fd_write (local.get $fd) (i32.const 256) (i32.const 1) (i32.const 264))))`

// echoes answers with its input.
var echoes = reactor(`(i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))`, "")

// forgetful keeps a counter in a global, in memory and in a table's size, and
// answers with an error if any of them is not as new.
var forgetful = reactor(`
    (if (i32.or (i32.or (global.get $count) (i32.load (i32.const 512))) (table.size $t)) (then unreachable))
    (global.set $count (i32.const 1))
    (i32.store (i32.const 512) (i32.const 1))
    (drop (table.grow $t (ref.null func) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    (if (i32.ne (memory.size) (i32.const 3)) (then unreachable))
    global.get $ok`, `(global $count (mut i32) (i32.const 0)) (table $t 0 10 funcref)`)

// program wraps the body of _start into a command.
func program(start, fields string) string {
	return `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (func (export "_start") ` + start + `)` + say + `
  (func $read (result i32) ;; stdin to 1024, its length
    (i32.store (i32.const 256) (i32.const 1024))
    (i32.store (i32.const 260) (i32.const 65536))
    (if (call $fd_read (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 264)) (then unreachable))
    (i32.load (i32.const 264)))
  ` + fields + `)`
}

// buffered is a guest that keeps its input at 1024 and answers with it, framed
// by the exports of a contract.
func buffered(exports string) string {
	return `(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0)) (func (export "_start"))
  ` + exports + `)`
}

var (
	// catProgram logs a line and answers with what is on stdin.
	catProgram = program(`
    (call $say (i32.const 1) (i32.const 0) (i32.const 4))
    (call $say (i32.const 1) (i32.const 1024) (call $read))`, `(data (i32.const 0) "log\n")`)

	// addsProgram reads its input and has its memory grow, as C programs do, and
	// answers with one sum.
	addsProgram = program(`
    (drop (memory.grow (i32.const 1)))
    (drop (call $read))
    (call $say (i32.const 1) (i32.const 0) (i32.const 13))`, `(data (i32.const 0) "{\"result\":9}\n")`)

	// loopProgram acknowledges its start and answers with its request.
	loopProgram = program(`
    (call $say (i32.const 3) (i32.const 0) (i32.const 12))
    (call $say (i32.const 3) (i32.const 1024) (call $read))
    (call $proc_exit (i32.const 0))`, `(data (i32.const 0) "{\"ok\":true}\n")`)

	wowEcho = buffered(`
  (func (export "wasm_memory_buffer_allocate_space") (param i32) (global.set $n (local.get 0)))
  (func (export "get_wasm_memory_buffer_pointer") (result i32) (i32.const 1024))
  (func (export "get_wasm_memory_buffer_len") (result i32) (global.get $n))`)

	setInputEcho = buffered(`
  (func (export "set_input") (param i32) (result i32) (global.set $n (local.get 0)) (i32.const 1024))
  (func (export "get_result") (result i32) (i32.const 1024))
  (func (export "get_result_len") (result i32) (global.get $n))`)
)
