package wat_test

import (
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/internal/wat"
)

var (
	//go:embed testdata/everything.wat
	everything string
	//go:embed testdata/everything.wasm
	everythingBinary []byte
)

func TestCompileEqualsReferenceAssembler(t *testing.T) {
	t.Parallel()
	got, err := wat.Compile(everything)
	require.NoError(t, err)
	assert.Equal(t, hex.Dump(everythingBinary), hex.Dump(got))
}

func TestInstructions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"unreachable":                     "00",
		"nop":                             "01",
		"block end":                       "0240 0b",
		"block (result i64) end":          "027e 0b",
		"block (param i32) end":           "0201 0b",
		"loop (result i32 i32) end":       "0301 0b",
		"if else end":                     "0440 05 0b",
		"(if (i32.const 1) (then nop))":   "4101 0440 01 0b",
		"block $a br $a end $a":           "0240 0c00 0b",
		"block $a loop $a br $a end end":  "0240 0340 0c00 0b 0b",
		"block $a loop br_if $a end end":  "0240 0340 0d01 0b 0b",
		"br 300":                          "0cac02",
		"br_table 1 2 3":                  "0e02010203",
		"br_table 7":                      "0e0007",
		"return":                          "0f",
		"call 5":                          "1005",
		"call $self":                      "1000",
		"call_indirect":                   "110000",
		"call_indirect 2 (result f32)":    "110102",
		"return_call $self":               "1200",
		"return_call_indirect":            "130000",
		"drop":                            "1a",
		"select":                          "1b",
		"select (result externref)":       "1c016f",
		"local.get $x":                    "2000",
		"local.set 1":                     "2101",
		"local.tee 200":                   "22c801",
		"global.get 1":                    "2301",
		"global.set 2":                    "2402",
		"table.get":                       "2500",
		"table.set 3":                     "2603",
		"i32.load":                        "280200",
		"i64.load align=1":                "290000",
		"f32.load offset=0x80":            "2a028001",
		"f64.load offset=1 align=4":       "2b0201",
		"i32.load8_s":                     "2c0000",
		"i64.load32_u":                    "350200",
		"i32.store":                       "360200",
		"f64.store":                       "390300",
		"i32.store16":                     "3b0100",
		"i64.store32 offset=4294967295":   "3e02ffffffff0f",
		"memory.size":                     "3f00",
		"memory.grow":                     "4000",
		"i32.const -1":                    "417f",
		"i32.const 0xffff_ffff":           "417f",
		"i32.const 64":                    "41c000",
		"i32.const -64":                   "4140",
		"i32.const -0x8000_0000":          "4180808080 78",
		"i64.const 0x8000000000000000":    "42808080808080808080 7f",
		"f32.const 1.5":                   "430000c03f",
		"f32.const 0x1p-149":              "4301000000",
		"f32.const -nan":                  "430000c0ff",
		"f32.const nan:0x1":               "430100807f",
		"f32.const 16777217":              "430000804b",
		"f64.const -inf":                  "44000000000000f0ff",
		"f64.const nan:0xfffffffffffff":   "44ffffffffffffff7f",
		"f64.const 0x.8p0":                "",
		"i32.eqz":                         "45",
		"i64.eqz":                         "50",
		"f32.eq":                          "5b",
		"f64.eq":                          "61",
		"i32.clz":                         "67",
		"i32.rotr":                        "78",
		"i64.clz":                         "79",
		"f32.abs":                         "8b",
		"f64.abs":                         "99",
		"f64.copysign":                    "a6",
		"i32.wrap_i64":                    "a7",
		"i64.trunc_f64_u":                 "b1",
		"f64.promote_f32":                 "bb",
		"f64.reinterpret_i64":             "bf",
		"i32.extend8_s":                   "c0",
		"i64.extend32_s":                  "c4",
		"ref.null func":                   "d070",
		"ref.is_null":                     "d1",
		"ref.func $self":                  "d200",
		"i32.trunc_sat_f32_s":             "fc00",
		"i64.trunc_sat_f64_u":             "fc07",
		"memory.init 4":                   "fc080400",
		"data.drop 1":                     "fc0901",
		"memory.copy":                     "fc0a0000",
		"memory.fill":                     "fc0b00",
		"table.init 1":                    "fc0c0100",
		"table.init 2 1":                  "fc0c0102",
		"elem.drop 1":                     "fc0d01",
		"table.copy":                      "fc0e0000",
		"table.copy 1 2":                  "fc0e0102",
		"table.grow 1":                    "fc0f01",
		"table.size":                      "fc1000",
		"table.fill":                      "fc1100",
		"(i32.add (local.get 0) (nop))":   "2000 01 6a",
		"(br_table 0 1 (i32.const 9))":    "4109 0e010001",
		"(block $b (br_if $b (nop)))":     "0240 01 0d00 0b",
		"nop ;; end\nnop (; nop (;;) ;)":  "01 01",
		"(if (then nop) (else (drop)))":   "0440 01 05 1a 0b",
		"(loop $l (block (br $l)) br $l)": "0340 0240 0c01 0b 0c00 0b",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			binary, err := wat.Compile("(func $self (local $x i32) " + source + ")")
			if want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(body(t, binary)))
		})
	}
}

// body is the code of the only function, which has one local, without the end.
func body(t *testing.T, binary []byte) []byte {
	t.Helper()
	for rest := binary[8:]; len(rest) > 1; rest = rest[2+int(rest[1]):] {
		if rest[0] == 10 {
			section := rest[2 : 2+int(rest[1])]
			const countSizeAndLocals = 5
			return section[countSizeAndLocals : len(section)-1]
		}
	}
	t.Fatalf("no code in %x", binary)
	return nil
}

func TestFields(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                                "",
		"(module)":                        "",
		"(module $name)":                  "",
		"(type (func))":                   "0104 01 600000",
		"(memory 1)":                      "0503 01 0001",
		"(memory 2 1)":                    "0504 01 010201",
		"(memory 1 2 shared)":             "0504 01 030102",
		"(memory 0xffffffff)":             "0507 01 00ffffffff0f",
		"(table 1 funcref)":               "0404 01 700001",
		"(table 0 5 externref)":           "0405 01 6f010005",
		`(import "" "\00" (memory 1))`:    "0207 01 00 0100 02 0001",
		`(memory (import "a" "b") 1)`:     "0208 01 0161 0162 02 0001",
		"(start 7)":                       "080107",
		`(data "\ff" "a")`:                "0b05 01 01 02ff61",
		"(data (i32.const 1))":            "0b06 01 00 41010b 00",
		"(data (memory 1) (i32.const 1))": "0b07 01 02 01 41010b 00",
		`(memory (data "x"))`:             "0504 01 010101 0b07 01 00 41000b 0178",
		"(elem func 1 2)":                 "0906 01 01 00 020102",
		"(elem declare func 1)":           "0905 01 03 00 0101",
		"(elem (i32.const 0) 1)":          "0907 01 00 41000b 0101",
		"(elem externref)":                "0904 01 05 6f 00",
		`(@custom "n" "\01" "b")`:         "0004 016e 0162",
		`(export "m" (memory 3))`:         "0705 01 016d 02 03",
		"(global i32 (i32.const 1))":      "0606 01 7f00 41010b",
		"(global (mut i64) i64.const 1)":  "0606 01 7e01 42010b",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			binary, err := wat.Compile(source)
			require.NoError(t, err)
			assert.Equal(t, "0061736d01000000"+strings.ReplaceAll(want, " ", ""), hex.EncodeToString(binary))
		})
	}
}

func TestDataCountOnlyWhereNeeded(t *testing.T) {
	t.Parallel()
	with := wat.Must(`(memory 1) (data "a") (func data.drop 0)`)
	without := wat.Must(`(memory 1) (data "a") (func nop nop nop)`)
	assert.Contains(t, string(with), "\x0c\x01\x01\x0a")
	assert.NotContains(t, string(without), "\x0c\x01\x01\x0a")
}

func TestSyntaxErrors(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"(":                                    "1:1: ( without )",
		"(module))":                            "1:9: unexpected )",
		"(module) (module)":                    "1:10: unexpected a list",
		"(module\n  (funk))":                   "2:4: unknown field funk",
		"\n\n  x":                              "3:3: expected a field, got x",
		"(func é)":                             "1:7: unexpected character 'é'",
		"(; é ;) [":                            "1:9: unexpected character '['",
		"(; (; ;)":                             "1:1: (; without ;)",
		`(data "`:                              "1:7: string without end",
		"(data \"\n\")":                        "1:8: control character in string",
		`(data "\x")`:                          "1:8: unknown escape in string",
		`(data "\u{d800}")`:                    "1:8: unknown escape in string",
		`(data "\u{110000}")`:                  "1:8: unknown escape in string",
		`(data "\0`:                            "1:8: unknown escape in string",
		"(func i33.add)":                       "1:7: unknown instruction i33.add",
		"(func local.get $x)":                  "1:17: unknown local $x",
		"(func (param $x i32) (local $x i32))": "1:36: two of local $x",
		"(func $f) (func $f)":                  "1:17: two of func $f",
		"(func call $g)":                       "1:12: unknown func $g",
		"(func br $l)":                         "1:10: unknown label $l",
		"(func block end br 4294967296)":       "1:20: expected a number of 32 bits, got 4294967296",
		"(func block)":                         "1:12: block without end",
		"(func end)":                           "1:7: end without block",
		"(func block (block end end) end)":     "1:20: end without block",
		"(func block else end)":                "1:13: else without if",
		"(func if else else end)":              "1:15: else without if",
		"(func block $a end $b)":               "1:20: label $b is not that of the block",
		"(func (if nop))":                      "1:11: expected (then …), got nop",
		"(func (i32.add nop))":                 "1:16: unexpected nop",
		"(func i32.const)":                     "1:16: expected an integer of 32 bits, got nothing",
		"(func i32.const 4294967296)":          "1:17: expected an integer of 32 bits, got 4294967296",
		"(func i32.const -2147483649)":         "1:17: expected an integer of 32 bits, got -2147483649",
		"(func i32.const 1_)":                  "1:17: expected an integer of 32 bits, got 1_",
		"(func i32.const 0x)":                  "1:17: expected an integer of 32 bits, got 0x",
		"(func f32.const 1e39)":                "1:17: expected a float of 32 bits, got 1e39",
		"(func f64.const nan:0x0)":             "1:17: expected a float of 64 bits, got nan:0x0",
		"(func f64.const Infinity)":            "1:17: expected a float of 64 bits, got Infinity",
		`(func i32.const "1")`:                 `1:17: expected an integer of 32 bits, got the string "1"`,
		"(func i32.load align=3)":              "1:23: alignment of i32.load is not a power of two",
		"(func i32.load offset=-1)":            "1:16: expected a number of 32 bits after offset=",
		"(func ref.null any)":                  "1:16: expected func or extern, got any",
		"(func (param i31))":                   "1:14: expected a value type, got i31",
		"(func (type $t))":                     "1:13: unknown type $t",
		"(type $t (func)) (func (type $t) (param i32))": "1:34: signature differs from that of the type",
		"(type (struct))":                "1:7: expected (func …), got a list",
		"(func (param $x i32 i32))":      "1:21: unexpected i32",
		"(memory)":                       "1:8: expected a number of 32 bits, got nothing",
		"(memory 1 2 3)":                 "1:13: unexpected 3",
		"(table 1)":                      "1:9: expected a reference type, got nothing",
		"(table funcref)":                "1:15: expected a limit or (elem …), got nothing",
		"(elem 0)":                       "1:7: expected func or a reference type, got 0",
		"(elem (table 0) func)":          "1:17: expected an offset, got func",
		"(elem funcref 0)":               "1:15: expected an instruction in parentheses, got 0",
		`(import "a" (func))`:            "1:13: expected a string, got a list",
		`(import "a" "b" (elem))`:        "1:18: cannot import elem",
		`(import "a" "b")`:               "1:16: expected what to import, got nothing",
		`(func) (import "a" "b" (func))`: "1:25: import after a definition",
		`(export "a" (type 0))`:          "1:14: cannot export type",
		`(export "a")`:                   "1:12: expected what to export, got nothing",
		"(func $)":                       "1:7: empty identifier",
		"(())":                           "1:2: expected a keyword, got a list",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			binary, err := wat.Compile(source)
			require.Nil(t, binary)
			_, typed := errors.AsType[*wat.SyntaxError](err)
			require.True(t, typed, "Compile(%q) = %v, want a SyntaxError", source, err)
			assert.Equal(t, "wat: "+want, err.Error())
		})
	}
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return "(func" + strings.Repeat("(block", n) + strings.Repeat(")", n) + ")"
	}
	_, err := wat.Compile(deep(999))
	require.NoError(t, err)
	_, err = wat.Compile(deep(1000))
	assert.ErrorContains(t, err, "nested too deeply")
	_, err = wat.Compile(strings.Repeat("(", 1<<20))
	assert.ErrorContains(t, err, "nested too deeply")
}

func TestFlatBlocksMayNestFreely(t *testing.T) {
	t.Parallel()
	const n = 40_000
	binary, err := wat.Compile("(func" + strings.Repeat(" block", n) + strings.Repeat(" end", n) + ")")
	require.NoError(t, err)
	assert.Greater(t, len(binary), 3*n)
}

func TestMustPanicsWithTheError(t *testing.T) {
	t.Parallel()
	assert.PanicsWithError(t, "wat: 1:2: unknown field x", func() { wat.Must("(x)") })
}

func TestGuestsRun(t *testing.T) {
	t.Parallel()
	for name, guest := range map[string]struct {
		source string
		args   []uint64
		want   []uint64
	}{
		"folded recursion": {
			`(func $fac (export "f") (param $n i64) (result i64)
			(if (result i64) (i64.eqz (local.get $n))
				(then (i64.const 1))
				(else (i64.mul (local.get $n) (call $fac (i64.sub (local.get $n) (i64.const 1)))))))`,
			[]uint64{10},
			[]uint64{3628800},
		},
		"flat loop": {
			`(func (export "f") (param $n i64) (result i64) (local $acc i64)
			i64.const 1
			local.set $acc
			block $done
				loop $again
					local.get $n
					i64.eqz
					br_if $done
					local.get $acc
					local.get $n
					i64.mul
					local.set $acc
					local.get $n
					i64.const 1
					i64.sub
					local.set $n
					br $again
				end
			end
			local.get $acc)`,
			[]uint64{10},
			[]uint64{3628800},
		},
		"several values": {
			`(func $swap (param i32 i32) (result i32 i32) local.get 1 local.get 0)
			(func (export "f") (param i32) (result i32 i32)
				(call $swap (local.get 0) (i32.const 7))
				(block (param i32 i32) (result i32 i32) call $swap)
				(loop (param i32 i32) (result i32 i32) call $swap))`,
			[]uint64{3},
			[]uint64{7, 3},
		},
		"br_table": {
			`(func (export "f") (param i32) (result i32)
			(block $c (block $b (block $a (br_table $a $b $c (local.get 0)))
				(return (i32.const 10))) (return (i32.const 11))) (i32.const 12))`,
			[]uint64{1},
			[]uint64{11},
		},
		"call_indirect through a typed table": {
			`(type $t (func (result i32)))
			(table funcref (elem $one $two))
			(func $one (result i32) i32.const 1) (func $two (type $t) i32.const 2)
			(func (export "f") (param i32) (result i32) (call_indirect (type $t) (local.get 0)))`,
			[]uint64{1},
			[]uint64{2},
		},
		"data and memory": {
			`(memory 1) (data (i32.const 4) "\01\02" "\03") (data $p "\ff\ee\dd")
			(func (export "f") (param i32) (result i32)
				(memory.init $p (i32.const 6) (i32.const 1) (i32.const 1))
				(memory.copy (i32.const 7) (i32.const 4) (i32.const 1))
				(i32.load (local.get 0)))`,
			[]uint64{4},
			[]uint64{0x01ee0201},
		},
		"tables": {
			`(table $t 1 externref) (table $u 2 funcref) (elem $e func $g $g) (func $g)
			(func (export "f") (param i32) (result i32)
				(table.init $u $e (i32.const 0) (i32.const 0) (i32.const 2))
				(table.grow $t (ref.null extern) (local.get 0))
				(i32.add (table.size $t))
				(i32.add (ref.is_null (table.get $u (i32.const 1)))))`,
			[]uint64{5},
			[]uint64{1 + 6},
		},
		"start and globals": {
			`(global $g (mut i32) (i32.const 1)) (global $h i32 (i32.const 5))
			(func $s (global.set $g (i32.const 40))) (start $s)
			(func (export "f") (param i32) (result i32)
				(i32.add (local.get 0) (i32.add (global.get $g) (global.get $h))))`,
			[]uint64{1},
			[]uint64{46},
		},
		"floats": {
			`(func (export "f") (param f64) (result f64)
			(f64.add (local.get 0) (f64.promote_f32 (f32.const 0x1.8p1))))`,
			[]uint64{api.EncodeF64(0.5)},
			[]uint64{api.EncodeF64(3.5)},
		},
		"saturation and sign extension": {
			`(func (export "f") (param i32) (result i64 i32)
			(i64.trunc_sat_f64_u (f64.const inf)) (i32.extend8_s (local.get 0)))`,
			[]uint64{0x80},
			[]uint64{1<<64 - 1, 0xffffff80},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, guest.want, run(t, wat.Must(guest.source), guest.args...))
		})
	}
}

// run calls the export f.
func run(t *testing.T, binary []byte, args ...uint64) []uint64 {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	instance, err := r.Instantiate(t.Context(), binary)
	require.NoError(t, err)
	results, err := instance.ExportedFunction("f").Call(t.Context(), args...)
	require.NoError(t, err)
	return results
}

func FuzzCompile(f *testing.F) {
	f.Add(everything)
	f.Add(`(func (if (then) (else)) br_table 0)`)
	f.Add("(module (func $f (param $x i32) (result i32) local.get $x))")
	f.Fuzz(func(t *testing.T, source string) {
		binary, err := wat.Compile(source)
		if err == nil && !strings.HasPrefix(string(binary), "\x00asm\x01\x00\x00\x00") {
			t.Errorf("Compile(%q) = %x, want a binary", source, binary)
		}
		if fault, ok := errors.AsType[*wat.SyntaxError](err); ok && !within(source, fault) {
			t.Errorf("Compile(%q) = %v, want a position within", source, err)
		}
	})
}

// within tells whether the position of the error lies in the source or just
// after it.
func within(source string, e *wat.SyntaxError) bool {
	lines := strings.Split(source, "\n")
	return e.Line >= 1 && e.Line <= len(lines) && e.Column >= 1 && e.Column <= len([]rune(lines[e.Line-1]))+1
}

func ExampleMust() {
	fmt.Printf("%x\n", wat.Must("(memory 1)"))
	// Output: 0061736d010000000503010001
}
