;; A little of everything. f(3) is 99.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (import "test" "enter" (func $enter))
  (import "test" "yield" (func $yield (param i64) (result i64)))
  (table $table 3 5 funcref)
  (memory (export "memory") 1 4)
  (global $count (mut i32) (i32.const 10))
  (global $step i32 (i32.const 2))
  (elem (i32.const 0) $add $mul)
  (elem $more func $sub)
  (data (i32.const 16) "\05\00\00\00")
  (data $word "\07\00\00\00")
  (start $start)

  (func $start
    (table.init $table $more (i32.const 2) (i32.const 0) (i32.const 1))
    (memory.init $word (i32.const 20) (i32.const 0) (i32.const 4))
    call $enter)

  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $mul (type $binary) (i32.mul (local.get 0) (local.get 1)))
  (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))

  ;; Adds up, for i = n-1 … 0: table[i mod 3](10, 5) * i + 7 + yield(2), and the
  ;; count at the end.
  (func (export "f") (param $n i32) (result i32) (local $sum i32) (local $scale f64)
    (local.set $scale (f64.const 0x1p0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (local.set $sum (i32.add (local.get $sum)
          (i32.mul (local.get $n)
            (call_indirect $table (type $binary)
              (global.get $count) (i32.load (i32.const 16))
              (i32.rem_u (local.get $n) (i32.const 3))))))
        (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 20))))
        (local.set $sum (i32.add (local.get $sum) (i32.wrap_i64 (call $yield (i64.const 2)))))
        (local.set $scale (f64.mul (local.get $scale) (f64.const 1)))
        (br $next)))
    (if (f64.ne (local.get $scale) (f64.const 1)) (then (unreachable)))
    (i32.add (local.get $sum)
      (select (i32.add (global.get $count) (global.get $step)) (i32.const 0) (i32.const 1))))
)
