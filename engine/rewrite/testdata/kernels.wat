;; Kernels as a C compiler would lay them out: sieve, matmul, sort, sha256. Each
;; export takes how often to do its work and returns something that depends on it.
(module
  (memory (export "memory") 40)
  (type $cmp (func (param i32 i32) (result i32)))
  (table 2 2 funcref)
  (elem (i32.const 0) $ascending $descending)

  ;; Flags of 1 MiB at 0x100000.
  (func (export "sieve") (param $n i32) (result i32)
    (local $count i32) (local $i i32) (local $j i32)
    (loop $again
      (memory.fill (i32.const 0x100000) (i32.const 1) (i32.const 0x100000))
      (local.set $count (i32.const 0))
      (local.set $i (i32.const 2))
      (loop $outer
        (if (i32.load8_u offset=0x100000 (local.get $i))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $j (i32.shl (local.get $i) (i32.const 1)))
            (if (i32.lt_u (local.get $j) (i32.const 0x100000))
              (then
                (loop $inner
                  (i32.store8 offset=0x100000 (local.get $j) (i32.const 0))
                  (br_if $inner (i32.lt_u (local.tee $j (i32.add (local.get $j) (local.get $i))) (i32.const 0x100000))))))))
        (br_if $outer (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 0x100000))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $count))

  ;; 128×128 doubles: a at 0x10000, b at 0x30000, c at 0x50000.
  (func (export "matmul") (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $l i32) (local $a i32) (local $b i32) (local $sum f64)
    (loop $fill
      (f64.store offset=0x10000 (i32.shl (local.get $i) (i32.const 3)) (f64.convert_i32_u (i32.rem_u (local.get $i) (i32.const 7))))
      (f64.store offset=0x30000 (i32.shl (local.get $i) (i32.const 3)) (f64.convert_i32_u (i32.rem_u (local.get $i) (i32.const 5))))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16384))))
    (loop $again
      (local.set $i (i32.const 0))
      (loop $rows
        (local.set $j (i32.const 0))
        (loop $columns
          (local.set $sum (f64.const 0))
          (local.set $a (i32.shl (local.get $i) (i32.const 10)))
          (local.set $b (i32.shl (local.get $j) (i32.const 3)))
          (local.set $l (i32.const 128))
          (loop $dot
            (local.set $sum (f64.add (local.get $sum)
              (f64.mul (f64.load offset=0x10000 (local.get $a)) (f64.load offset=0x30000 (local.get $b)))))
            (local.set $a (i32.add (local.get $a) (i32.const 8)))
            (local.set $b (i32.add (local.get $b) (i32.const 1024)))
            (br_if $dot (local.tee $l (i32.sub (local.get $l) (i32.const 1)))))
          (f64.store offset=0x50000 (i32.add (i32.shl (local.get $i) (i32.const 10)) (i32.shl (local.get $j) (i32.const 3))) (local.get $sum))
          (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 128))))
        (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 128))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.trunc_f64_s (f64.load offset=0x50000 (i32.const 616))))

  ;; Quicksort of 10,000 numbers at 0x70000 with a comparison by call_indirect.
  (func $ascending (param $a i32) (param $b i32) (result i32)
    (i32.sub (i32.gt_s (i32.load (local.get $a)) (i32.load (local.get $b)))
             (i32.lt_s (i32.load (local.get $a)) (i32.load (local.get $b)))))
  (func $descending (param $a i32) (param $b i32) (result i32)
    (call $ascending (local.get $b) (local.get $a)))
  (func $swap (param $a i32) (param $b i32) (local $t i32)
    (local.set $t (i32.load (local.get $a)))
    (i32.store (local.get $a) (i32.load (local.get $b)))
    (i32.store (local.get $b) (local.get $t)))
  (func $quicksort (param $low i32) (param $high i32) (param $cmp i32)
    (local $pivot i32) (local $i i32) (local $j i32)
    (if (i32.ge_s (local.get $low) (local.get $high)) (then (return)))
    (call $swap (local.get $low) (i32.and (i32.shr_u (i32.add (local.get $low) (local.get $high)) (i32.const 1)) (i32.const -4)))
    (local.set $pivot (local.get $low))
    (local.set $i (local.get $low))
    (local.set $j (i32.add (local.get $low) (i32.const 4)))
    (loop $partition
      (if (i32.le_s (local.get $j) (local.get $high))
        (then
          (if (i32.lt_s (call_indirect (type $cmp) (local.get $j) (local.get $pivot) (local.get $cmp)) (i32.const 0))
            (then
              (local.set $i (i32.add (local.get $i) (i32.const 4)))
              (call $swap (local.get $i) (local.get $j))))
          (local.set $j (i32.add (local.get $j) (i32.const 4)))
          (br $partition))))
    (call $swap (local.get $i) (local.get $low))
    (call $quicksort (local.get $low) (i32.sub (local.get $i) (i32.const 4)) (local.get $cmp))
    (call $quicksort (i32.add (local.get $i) (i32.const 4)) (local.get $high) (local.get $cmp)))
  (func (export "sort") (param $n i32) (result i32)
    (local $i i32) (local $x i32)
    (local.set $x (i32.const 1))
    (loop $again
      (local.set $i (i32.const 0))
      (loop $fill
        (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
        (i32.store offset=0x70000 (local.get $i) (i32.shr_u (local.get $x) (i32.const 8)))
        (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 40000))))
      (call $quicksort (i32.const 0x70000) (i32.const 0x79c3c) (i32.and (local.get $n) (i32.const 1)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.load (i32.const 0x74e20)))

  ;; SHA-256's compression: schedule at 0x400, constants at 0, state at 0x200.
  (data (i32.const 0)
    "\98\2f\8a\42\91\44\37\71\cf\fb\c0\b5\a5\db\b5\e9\5b\c2\56\39\f1\11\f1\59\a4\82\3f\92\d5\5e\1c\ab"
    "\98\aa\07\d8\01\5b\83\12\be\85\31\24\c3\7d\0c\55\74\5d\be\72\fe\b1\de\80\a7\06\dc\9b\74\f1\9b\c1"
    "\c1\69\9b\e4\86\47\be\ef\c6\9d\c1\0f\cc\a1\0c\24\6f\2c\e9\2d\aa\84\74\4a\dc\a9\b0\5c\da\88\f9\76"
    "\52\51\3e\98\6d\c6\31\a8\c8\27\03\b0\c7\7f\59\bf\f3\0b\e0\c6\47\91\a7\d5\51\63\ca\06\67\29\29\14"
    "\85\0a\b7\27\38\21\1b\2e\fc\6d\2c\4d\13\0d\38\53\54\73\0a\65\bb\0a\6a\76\2e\c9\c2\81\85\2c\72\92"
    "\a1\e8\bf\a2\4b\66\1a\a8\70\8b\4b\c2\a3\51\6c\c7\19\e8\92\d1\24\06\99\d6\85\35\0e\f4\70\a0\6a\10"
    "\16\c1\a4\19\08\6c\37\1e\4c\77\48\27\b5\bc\b0\34\b3\0c\1c\39\4a\aa\d8\4e\4f\ca\9c\5b\f3\6f\2e\68"
    "\ee\82\8f\74\6f\63\a5\78\14\78\c8\84\08\02\c7\8c\fa\ff\be\90\eb\6c\50\a4\f7\a3\f9\be\f2\78\71\c6")
  (data (i32.const 0x200)
    "\67\e6\09\6a\85\ae\67\bb\72\f3\6e\3c\3a\f5\4f\a5\7f\52\0e\51\8c\68\05\9b\ab\d9\83\1f\19\cd\e0\5b")
  (func (export "sha256") (param $n i32) (result i32)
    (local $i i32) (local $t1 i32) (local $t2 i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32) (local $f i32) (local $g i32) (local $h i32)
    (loop $again
      (local.set $i (i32.const 0))
      (loop $first
        (i32.store offset=0x400 (local.get $i)
          (i32.add (i32.load offset=0x200 (i32.and (local.get $i) (i32.const 28))) (local.get $i)))
        (br_if $first (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 64))))
      (loop $schedule
        (local.set $t1 (i32.load offset=0x3f8 (local.get $i)))
        (local.set $t2 (i32.load offset=0x3c4 (local.get $i)))
        (i32.store offset=0x400 (local.get $i)
          (i32.add
            (i32.add
              (i32.xor (i32.xor (i32.rotr (local.get $t1) (i32.const 17)) (i32.rotr (local.get $t1) (i32.const 19))) (i32.shr_u (local.get $t1) (i32.const 10)))
              (i32.load offset=0x3e4 (local.get $i)))
            (i32.add
              (i32.xor (i32.xor (i32.rotr (local.get $t2) (i32.const 7)) (i32.rotr (local.get $t2) (i32.const 18))) (i32.shr_u (local.get $t2) (i32.const 3)))
              (i32.load offset=0x3c0 (local.get $i)))))
        (br_if $schedule (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 256))))
      (local.set $a (i32.load offset=0x200 (i32.const 0)))
      (local.set $b (i32.load offset=0x204 (i32.const 0)))
      (local.set $c (i32.load offset=0x208 (i32.const 0)))
      (local.set $d (i32.load offset=0x20c (i32.const 0)))
      (local.set $e (i32.load offset=0x210 (i32.const 0)))
      (local.set $f (i32.load offset=0x214 (i32.const 0)))
      (local.set $g (i32.load offset=0x218 (i32.const 0)))
      (local.set $h (i32.load offset=0x21c (i32.const 0)))
      (local.set $i (i32.const 0))
      (loop $rounds
        (local.set $t1 (i32.add (i32.add (local.get $h)
          (i32.xor (i32.xor (i32.rotr (local.get $e) (i32.const 6)) (i32.rotr (local.get $e) (i32.const 11))) (i32.rotr (local.get $e) (i32.const 25))))
          (i32.add
            (i32.xor (i32.and (local.get $e) (local.get $f)) (i32.and (i32.xor (local.get $e) (i32.const -1)) (local.get $g)))
            (i32.add (i32.load (local.get $i)) (i32.load offset=0x400 (local.get $i))))))
        (local.set $t2 (i32.add
          (i32.xor (i32.xor (i32.rotr (local.get $a) (i32.const 2)) (i32.rotr (local.get $a) (i32.const 13))) (i32.rotr (local.get $a) (i32.const 22)))
          (i32.xor (i32.xor (i32.and (local.get $a) (local.get $b)) (i32.and (local.get $a) (local.get $c))) (i32.and (local.get $b) (local.get $c)))))
        (local.set $h (local.get $g))
        (local.set $g (local.get $f))
        (local.set $f (local.get $e))
        (local.set $e (i32.add (local.get $d) (local.get $t1)))
        (local.set $d (local.get $c))
        (local.set $c (local.get $b))
        (local.set $b (local.get $a))
        (local.set $a (i32.add (local.get $t1) (local.get $t2)))
        (br_if $rounds (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 256))))
      (i32.store offset=0x200 (i32.const 0) (i32.add (i32.load offset=0x200 (i32.const 0)) (local.get $a)))
      (i32.store offset=0x204 (i32.const 0) (i32.add (i32.load offset=0x204 (i32.const 0)) (local.get $b)))
      (i32.store offset=0x208 (i32.const 0) (i32.add (i32.load offset=0x208 (i32.const 0)) (local.get $c)))
      (i32.store offset=0x20c (i32.const 0) (i32.add (i32.load offset=0x20c (i32.const 0)) (local.get $d)))
      (i32.store offset=0x210 (i32.const 0) (i32.add (i32.load offset=0x210 (i32.const 0)) (local.get $e)))
      (i32.store offset=0x214 (i32.const 0) (i32.add (i32.load offset=0x214 (i32.const 0)) (local.get $f)))
      (i32.store offset=0x218 (i32.const 0) (i32.add (i32.load offset=0x218 (i32.const 0)) (local.get $g)))
      (i32.store offset=0x21c (i32.const 0) (i32.add (i32.load offset=0x21c (i32.const 0)) (local.get $h)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.load offset=0x200 (i32.const 0)))

  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
)
