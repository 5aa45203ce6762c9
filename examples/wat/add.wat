;; The action add, by hand: {"param1":3,"param2":4} gives {"result":7}.
;;
;; It is a reactor: the host asks ow_alloc for room, writes the event there,
;; calls ow_run and reads the answer at the address (upper half) and of the
;; length (lower half) that it gets. Its parser knows as much of JSON as it
;; takes to find two integers among the members of an object.
(module
  (memory (export "memory") 1)

  (data (i32.const 0)  "{\22result\22:")
  (data (i32.const 16) "{\22error\22:\22Expected param")
  (data (i32.const 48) " to be present\22}")
  (data (i32.const 64) " to be an i64\22}")
  (data (i32.const 80) "param")

  (global $answer i32 (i32.const 1024))      ;; where the answer is written
  (global $input i32 (i32.const 4096))       ;; where the event is read
  (global $at (mut i32) (i32.const 0))       ;; reading here,
  (global $end (mut i32) (i32.const 0))      ;; up to here
  (global $to (mut i32) (i32.const 0))       ;; writing here
  (global $failed (mut i32) (i32.const 0))   ;; the answer is an error

  (func (export "ow_alloc") (param $n i32) (result i32)
    (local $missing i32)
    (if (i32.gt_u (local.get $n) (i32.const 0x1000000)) (then (unreachable)))
    (local.set $missing
      (i32.sub
        (i32.shr_u (i32.add (i32.add (global.get $input) (local.get $n)) (i32.const 0xffff)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.lt_s (memory.grow (local.get $missing)) (i32.const 0)) (then (unreachable)))))
    (global.get $input))

  (func (export "ow_run") (param $ptr i32) (param $n i32) (result i64)
    (local $a i64) (local $b i64)
    (global.set $failed (i32.const 0))
    (global.set $to (global.get $answer))
    (global.set $end (i32.add (local.get $ptr) (local.get $n)))
    (local.set $a (call $param (local.get $ptr) (i32.const 0x31)))
    (if (i32.eqz (global.get $failed))
      (then (local.set $b (call $param (local.get $ptr) (i32.const 0x32)))))
    (if (i32.eqz (global.get $failed))
      (then
        (call $write (i32.const 0) (i32.const 10))
        (call $decimal (i64.add (local.get $a) (local.get $b)))
        (call $put (i32.const 0x7d))))
    (i64.or
      (i64.shl (i64.extend_i32_u (global.get $answer)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (global.get $to) (global.get $answer)))))

  ;; param is the integer at "param1" or "param2"; the digit is in ASCII.
  (func $param (param $ptr i32) (param $digit i32) (result i64)
    (local $value i64)
    (global.set $at (local.get $ptr))
    (if (i32.eqz (call $find (local.get $digit)))
      (then
        (call $fail (local.get $digit) (i32.const 48) (i32.const 16))
        (return (i64.const 0))))
    (local.set $value (call $integer))
    (if (global.get $failed)
      (then (call $fail (local.get $digit) (i32.const 64) (i32.const 15))))
    (local.get $value))

  ;; find moves to the value of a member of the outermost object.
  (func $find (param $digit i32) (result i32)
    (local $c i32) (local $depth i32) (local $start i32)
    (loop $next
      (call $space)
      (local.set $c (call $peek))
      (if (i32.eqz (local.get $c)) (then (return (i32.const 0))))
      (if (i32.eq (local.get $c) (i32.const 0x22))
        (then
          (local.set $start (global.get $at))
          (call $string)
          (call $space)
          (if (i32.and
                (i32.and
                  (i32.eq (local.get $depth) (i32.const 1))
                  (i32.eq (call $peek) (i32.const 0x3a)))
                (call $names (local.get $start) (local.get $digit)))
            (then
              (call $step)
              (call $space)
              (return (i32.const 1))))
          (br $next)))
      (local.set $depth (i32.add (local.get $depth) (call $nesting (local.get $c))))
      (call $step)
      (br $next))
    (unreachable))

  ;; nesting is 1 for { and [, -1 for } and ], which differ from them by 2.
  (func $nesting (param $c i32) (result i32)
    (local.set $c (i32.or (local.get $c) (i32.const 0x20)))
    (i32.sub
      (i32.eq (local.get $c) (i32.const 0x7b))
      (i32.eq (local.get $c) (i32.const 0x7d))))

  ;; names tells whether the string at start is "param" and the digit.
  (func $names (param $start i32) (param $digit i32) (result i32)
    (local $i i32)
    (if (i32.gt_u (i32.add (local.get $start) (i32.const 8)) (global.get $end))
      (then (return (i32.const 0))))
    (loop $next
      (local.set $start (i32.add (local.get $start) (i32.const 1)))
      (if (i32.ne (i32.load8_u (local.get $start)) (i32.load8_u offset=80 (local.get $i)))
        (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 5))))
    (i32.and
      (i32.eq (i32.load8_u offset=1 (local.get $start)) (local.get $digit))
      (i32.eq (i32.load8_u offset=2 (local.get $start)) (i32.const 0x22))))

  ;; integer reads one of 64 bits, or fails. It counts below zero, where there
  ;; is one number more.
  (func $integer (result i64)
    (local $negative i32) (local $start i32) (local $digit i32) (local $value i64)
    (if (i32.eq (call $peek) (i32.const 0x2d))
      (then
        (local.set $negative (i32.const 1))
        (call $step)))
    (local.set $start (global.get $at))
    (loop $next
      (local.set $digit (i32.sub (call $peek) (i32.const 0x30)))
      (if (i32.lt_u (local.get $digit) (i32.const 10))
        (then
          ;; -922337203685477580 times ten leaves room for a last 8.
          (if (i64.lt_s (local.get $value) (i64.const -922337203685477580))
            (then (global.set $failed (i32.const 1))))
          (local.set $value (i64.mul (local.get $value) (i64.const 10)))
          (if (i64.gt_u (i64.extend_i32_u (local.get $digit))
                        (i64.sub (local.get $value) (i64.const 0x8000000000000000)))
            (then (global.set $failed (i32.const 1))))
          (local.set $value (i64.sub (local.get $value) (i64.extend_i32_u (local.get $digit))))
          (call $step)
          (br $next))))
    (if (i32.or (i32.eq (global.get $at) (local.get $start)) (i32.eqz (call $ends)))
      (then (global.set $failed (i32.const 1))))
    (if (local.get $negative) (then (return (local.get $value))))
    (if (i64.eq (local.get $value) (i64.const 0x8000000000000000))
      (then (global.set $failed (i32.const 1))))
    (i64.sub (i64.const 0) (local.get $value)))

  ;; ends tells whether a value may end here: at a comma, a brace or space.
  (func $ends (result i32)
    (call $space)
    (i32.or
      (i32.eq (call $peek) (i32.const 0x2c))
      (i32.eq (call $peek) (i32.const 0x7d))))

  ;; string moves past a string.
  (func $string
    (local $c i32)
    (loop $next
      (call $step)
      (local.set $c (call $peek))
      (if (i32.eq (local.get $c) (i32.const 0x5c))
        (then
          (call $step)
          (br $next)))
      (br_if $next (i32.and
        (i32.ne (local.get $c) (i32.const 0x22))
        (i32.lt_u (global.get $at) (global.get $end)))))
    (call $step))

  (func $space
    (local $c i32)
    (loop $next
      (local.set $c (call $peek))
      (if (i32.and
            (i32.ne (local.get $c) (i32.const 0))
            (i32.le_u (local.get $c) (i32.const 0x20)))
        (then
          (call $step)
          (br $next)))))

  ;; peek is the byte that is read next, 0 at the end.
  (func $peek (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end)) (then (return (i32.const 0))))
    (i32.load8_u (global.get $at)))

  (func $step (global.set $at (i32.add (global.get $at) (i32.const 1))))

  (func $fail (param $digit i32) (param $text i32) (param $n i32)
    (global.set $failed (i32.const 1))
    (call $write (i32.const 16) (i32.const 24))
    (call $put (local.get $digit))
    (call $write (local.get $text) (local.get $n)))

  (func $put (param $c i32)
    (i32.store8 (global.get $to) (local.get $c))
    (global.set $to (i32.add (global.get $to) (i32.const 1))))

  (func $write (param $text i32) (param $n i32)
    (memory.copy (global.get $to) (local.get $text) (local.get $n))
    (global.set $to (i32.add (global.get $to) (local.get $n))))

  ;; decimal writes a number, its last digit last.
  (func $decimal (param $n i64)
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then
        (call $put (i32.const 0x2d))
        (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
    (call $digits (local.get $n)))

  (func $digits (param $n i64)
    (if (i64.ge_u (local.get $n) (i64.const 10))
      (then (call $digits (i64.div_u (local.get $n) (i64.const 10)))))
    (call $put (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))))
