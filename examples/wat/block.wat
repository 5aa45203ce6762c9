;; Block as a module of a few hundred bytes: it waits in a call of the host, 300 ms,
;; and says so.
(module
  (import "http" "get" (func $get (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"sleep\":\"300\"}")

  ;; The input is not looked at: it may lie anywhere behind the answer.
  (func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))

  ;; The answer is 15 bytes at 16.
  (func (export "ow_run") (param i32 i32) (result i64)
    (drop (call $get))
    (i64.const 0x100000000f)))
