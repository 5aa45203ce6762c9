(; What the assembler knows, (; nested comments ;) too. everything.wasm is what wat2wasm of wabt 1.0.32
   makes of it with --enable-all --no-check. ;)
(module $kitchen
  (type $ii (func (param i32) (result i32)))
  (type $v (func))
  (import "env" "f" (func $imp (param $a i32) (param i64 f32) (result i32 i64)))
  (func $imp2 (export "re") (import "env" "g") (type $ii))
  (import "env" "m" (memory $mem 1 2))
  (import "env" "t" (table $tab 0 10 funcref))
  (import "env" "gl" (global $gi (mut i32)))
  (table $t2 (export "t2") funcref (elem $a $b))
  (table $t3 externref (elem))
  (table $t4 funcref (elem (ref.func $a) (ref.null func)))
  (table $t5 1 externref)
  (global $g1 (export "g1") i32 (i32.const -1))
  (global $g2 (mut f64) (f64.const 0x1.8p-3))
  (global $g3 funcref ref.func $a)
  (elem (i32.const 0) $a $b)
  (elem (i32.const 1) func $a)
  (elem (table $t2) (offset i32.const 1) func $a)
  (elem (table $t2) (i32.const 1) funcref (item ref.func $a) (ref.null func))
  (elem $passive func $a $b)
  (elem $pe funcref (ref.func $a) (item (ref.null func)))
  (elem declare func $a)
  (elem declare funcref (ref.func $b) (ref.null func))
  (elem (offset (i32.const 0)) funcref (ref.func $b) (ref.null func))
  (elem (table $t5) (i32.const 0) externref (ref.null extern))
  (data (i32.const 8) "a\00\ff\t\n\r\"\'\\" "\u{1F600}é")
  (data $pd "xy" "" "z")
  (data (memory $mem) (offset (global.get $gi)) "q")
  (data (i32.const 0))
  (start $v)
  (func $v (type $v))
  (func $a (export "a1") (export "a2") (param $x i32) (result i32) (local $y i64) (local i32 i32 f32)
    local.get $x (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1)) (else i32.const 2)) i32.add)
  (func $b (type $ii) (param $q i32) (result i32)
    block $out (result i32)
      loop $l (param) (result i32)
        local.get $q
        br_if $l (local.get $q)
        local.get 0
        br_table $l $out 1 0 $l
        if $k nop else $k br $k end $k
        i32.const 0x7fff_ffff
      end $l
    end)
  (func (param i32 i64) (result i64 i32)
    (block (param i32 i64) (result i64 i32) unreachable)
     
    (call_indirect (type $ii) (i32.const 1) (i32.const 2))
    (call_indirect $t2 (param i32) (result i32) (i32.const 1) (i32.const 2)) 
    (return_call_indirect $t2 (type $ii) (i32.const 1) (i32.const 2)) 
    (return_call $a (i32.const 3))
    call_indirect (param f32)
    select (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3)) (select (i32.const 1) (i32.const 2) (i32.const 3))
    i32.load i32.load offset=4 i64.load32_u align=2 i32.store8 offset=0xffffffff align=1
    i64.store32 i32.store16 f64.load f32.store offset=1 align=1 f64.store i64.load16_s i64.load
    memory.size memory.grow memory.init $pd memory.init 0 data.drop $pd memory.copy memory.fill
    table.init $passive table.init $t2 $pe elem.drop $pe table.copy table.copy $t2 $t3 table.grow $t3 table.size 0 table.fill 1
    table.get $t2 table.set 0
    ref.null func ref.null extern ref.func $a ref.is_null
    f32.const nan f32.const -nan:0x200000 f32.const inf f32.const -inf f32.const 1e-45 f32.const 0x1p-149 f32.const 0x0.8
    f64.const 1. f64.const -0 f64.const 0x1_0.8P+1_0 f64.const 1_000.5e-1_0 f64.const nan:0x1
    f32.const 16777217 f32.const 0x1.000001p0 f32.const 0x1.0000011p0 f32.const 340282346638528859811704183484516925440
    i32.const -2147483648 i32.const 4294967295 i64.const -9223372036854775808 i64.const 18446744073709551615 i64.const 0x8000000000000000 i32.const +7
    i32.const 63 i32.const 64 i32.const -64 i32.const -65
    i32.extend8_s i64.extend32_s i32.trunc_sat_f32_s i64.trunc_sat_f64_u ;; end
    return)
  (export "mem" (memory $mem)) (export "tab" (table 0)) (export "glo" (global $g1)) (export "" (func 0))
)
