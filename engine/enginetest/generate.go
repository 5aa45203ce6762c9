package enginetest

import (
	"fmt"
	"strings"
)

// Generate writes a valid module in the text format from whatever bytes: equal
// bytes give equal text. Its export f takes an i32 and an i64, gives an i64,
// and always ends, sometimes in a trap. The module imports nothing and exports
// its memory. What it computes does not depend on the bits of a NaN, which
// engines may choose.
func Generate(seed []byte) string {
	g := &generator{seed: seed}
	return `(module
	(memory (export "memory") 1 3)
	(table 8 funcref) (elem (i32.const 1) $leaf $leaf $other)
	(type $leaf (func (param i32 i64) (result i64)))
	(global $i32 (mut i32) (i32.const 7)) (global $i64 (mut i64) (i64.const -3)) (global $f64 (mut f64) (f64.const 0.5))
	(data (i32.const 0) "\01\02\03\04\05\06\07\08")
	(data $passive "abcdefgh")
	(func $other (param i32) (result i32) local.get 0)
	` + g.function("$leaf", "") + g.function("$inner", "$leaf") + g.function(`(export "f")`, "$inner") + ")"
}

// generator turns bytes into choices. Without bytes left it chooses 0, and
// choice 0 is always the shortest.
type generator struct {
	seed   []byte
	callee string
	loops  int
}

func (g *generator) choose(n int) int {
	if len(g.seed) == 0 {
		return 0
	}
	choice := int(g.seed[0]) % n
	g.seed = g.seed[1:]
	return choice
}

func (g *generator) pick(options string) string {
	fields := strings.Fields(options)
	return fields[g.choose(len(fields))]
}

const nesting = 5

// function has the variables $i32, $i64 and $f64, and the counters of at most
// four loops.
func (g *generator) function(name, callee string) string {
	g.callee, g.loops = callee, 0
	body := g.statements(nesting)
	return fmt.Sprintf(`(func %s (param $i32 i32) (param $i64 i64) (result i64)
		(local $f64 f64) (local $n0 i32) (local $n1 i32) (local $n2 i32) (local $n3 i32)
		%s
		(i64.add (local.get $i64) (i64.xor (i64.extend_i32_s (local.get $i32)) (i64.trunc_sat_f64_s (local.get $f64)))))
	`, name, body)
}

func (g *generator) statements(depth int) string {
	var b strings.Builder
	for range g.choose(6) {
		b.WriteString(g.statement(depth))
		b.WriteByte('\n')
	}
	return b.String()
}

func (g *generator) statement(depth int) string {
	if depth == 0 {
		return "nop"
	}
	t := g.pick("i32 i64 f64")
	switch g.choose(12) {
	case 0:
		return fmt.Sprintf("(local.set $%s %s)", t, g.expression(t, depth-1))
	case 1:
		return fmt.Sprintf("(global.set $%s %s)", t, g.expression(t, depth-1))
	case 2, 3:
		return g.store(depth - 1)
	case 4:
		return fmt.Sprintf("(if %s (then %s) (else %s))", g.expression("i32", depth-1), g.statements(depth-1), g.statements(depth-1))
	case 5:
		return fmt.Sprintf("(block %s (br_if 0 %s) %s)", g.statements(depth-1), g.expression("i32", depth-1), g.statements(depth-1))
	case 6, 7:
		return g.loop(depth - 1)
	case 8:
		return fmt.Sprintf("(block (block (block (br_table 0 1 2 %s)) %s) %s)", g.expression("i32", depth-1), g.statements(depth-1), g.statements(depth-1))
	case 9:
		return g.bulk(depth - 1)
	case 10:
		return fmt.Sprintf("(if (i32.eqz %s) (then (return %s)))", g.expression("i32", depth-1), g.expression("i64", depth-1))
	}
	return "(if " + g.expression("i32", depth-1) + " (then (unreachable)))"
}

func (g *generator) store(depth int) string {
	op := g.pick("i32.store i32.store8 i32.store16 i64.store i64.store8 i64.store16 i64.store32")
	return fmt.Sprintf("(%s offset=%d %s %s)", op, g.choose(200), g.address(depth), g.expression(op[:3], depth))
}

// address is almost always within the memory.
func (g *generator) address(depth int) string {
	if g.choose(20) == 19 {
		return g.expression("i32", depth)
	}
	return fmt.Sprintf("(i32.and %s (i32.const 0xfff))", g.expression("i32", depth))
}

// loop goes round at most three times, with a counter that nothing else writes.
func (g *generator) loop(depth int) string {
	if g.loops == 4 {
		return "nop"
	}
	counter := fmt.Sprintf("$n%d", g.loops)
	g.loops++
	return fmt.Sprintf(`(local.set %[1]s (i32.const %[2]d))
		(loop %[3]s (br_if 0 (i32.gt_s (local.tee %[1]s (i32.sub (local.get %[1]s) (i32.const 1))) (i32.const 0))))`,
		counter, g.choose(4), g.statements(depth))
}

func (g *generator) bulk(depth int) string {
	short := func() string { return fmt.Sprintf("(i32.const %d)", g.choose(10)) }
	switch g.choose(4) {
	case 0:
		return fmt.Sprintf("(memory.fill %s %s %s)", g.address(depth), g.expression("i32", depth), short())
	case 1:
		return fmt.Sprintf("(memory.copy %s %s %s)", g.address(depth), g.address(depth), short())
	case 2:
		return fmt.Sprintf("(memory.init $passive %s %s %s)", g.address(depth), short(), short())
	}
	return "(data.drop $passive)"
}

func (g *generator) expression(t string, depth int) string {
	if depth <= 0 {
		return g.leaf(t)
	}
	x := func(of string) string { return g.expression(of, depth-1) }
	switch g.choose(8) {
	case 0:
		return g.leaf(t)
	case 1:
		return fmt.Sprintf("(select %s %s %s)", x(t), x(t), x("i32"))
	case 2:
		return fmt.Sprintf("(if (result %s) %s (then %s) (else %s))", t, x("i32"), x(t), x(t))
	case 3:
		return fmt.Sprintf("(block (result %s) (br_if 0 %s %s))", t, x(t), x("i32"))
	}
	switch t {
	case "i32":
		return g.i32(x, depth)
	case "i64":
		return g.i64(x, depth)
	}
	return g.f64(x)
}

func (g *generator) leaf(t string) string {
	switch g.choose(4) {
	case 0:
		return fmt.Sprintf("(local.get $%s)", t)
	case 1:
		return fmt.Sprintf("(global.get $%s)", t)
	}
	constants := "0 1 -1 2 7 31 32 255 -128 0x7fffffff -0x80000000 65535"
	switch t {
	case "i64":
		constants += " 0x7fffffffffffffff -0x8000000000000000 63 64 0x100000000"
	case "f64":
		constants = "0 1 -1 0.5 -0 1e300 -1e-300 4294967296.5 9223372036854775808 inf -inf nan"
	}
	return fmt.Sprintf("(%s.const %s)", t, g.pick(constants))
}

const (
	integerUnary  = "clz ctz popcnt extend8_s extend16_s"
	integerBinary = "add sub mul and or xor shl shr_s shr_u rotl rotr div_s div_u rem_s rem_u"
	integerTests  = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
)

func (g *generator) i32(x func(string) string, depth int) string {
	switch g.choose(9) {
	case 0:
		return fmt.Sprintf("(i32.%s %s)", g.pick(integerUnary+" eqz"), x("i32"))
	case 1, 2:
		return fmt.Sprintf("(i32.%s %s %s)", g.pick(integerBinary+" "+integerTests), x("i32"), x("i32"))
	case 3:
		return fmt.Sprintf("(i64.%s %s %s)", g.pick(integerTests), x("i64"), x("i64"))
	case 4:
		return fmt.Sprintf("(f64.%s %s %s)", g.pick("eq ne lt gt le ge"), x("f64"), x("f64"))
	case 5:
		return fmt.Sprintf("(i32.%s %s)", g.pick("trunc_sat_f64_s trunc_sat_f64_u trunc_f64_s trunc_f64_u"), x("f64"))
	case 6:
		return fmt.Sprintf("(%s %s)", g.pick("i32.wrap_i64 i64.eqz"), x("i64"))
	case 7:
		return fmt.Sprintf("(i32.%s offset=%d %s)", g.pick("load load8_s load8_u load16_s load16_u"), g.choose(200), g.address(depth-1))
	}
	if g.choose(2) == 0 {
		return "(memory.size)"
	}
	return "(memory.grow (i32.const 1))"
}

func (g *generator) i64(x func(string) string, depth int) string {
	switch g.choose(7) {
	case 0:
		return fmt.Sprintf("(i64.%s %s)", g.pick(integerUnary+" extend32_s"), x("i64"))
	case 1, 2:
		return fmt.Sprintf("(i64.%s %s %s)", g.pick(integerBinary), x("i64"), x("i64"))
	case 3:
		return fmt.Sprintf("(i64.%s %s)", g.pick("extend_i32_s extend_i32_u"), x("i32"))
	case 4:
		return fmt.Sprintf("(i64.%s %s)", g.pick("trunc_sat_f64_s trunc_sat_f64_u trunc_f64_s trunc_f64_u"), x("f64"))
	case 5:
		return fmt.Sprintf("(i64.%s offset=%d %s)", g.pick("load load8_s load8_u load16_s load16_u load32_s load32_u"), g.choose(200), g.address(depth-1))
	}
	return g.call(x)
}

// call calls the function before this one, by itself or through the table,
// where other entries trap.
func (g *generator) call(x func(string) string) string {
	if g.callee == "" {
		return x("i64")
	}
	arguments := x("i32") + " " + x("i64")
	if g.choose(2) == 0 {
		return fmt.Sprintf("(call %s %s)", g.callee, arguments)
	}
	return fmt.Sprintf("(call_indirect (type $leaf) %s (i32.const %d))", arguments, g.choose(9))
}

func (g *generator) f64(x func(string) string) string {
	switch g.choose(5) {
	case 0:
		return fmt.Sprintf("(f64.%s %s)", g.pick("abs neg ceil floor trunc nearest sqrt"), x("f64"))
	case 1, 2:
		return fmt.Sprintf("(f64.%s %s %s)", g.pick("add sub mul div min max"), x("f64"), x("f64"))
	case 3:
		return fmt.Sprintf("(f64.%s %s)", g.pick("convert_i32_s convert_i32_u"), x("i32"))
	}
	return fmt.Sprintf("(f64.%s %s)", g.pick("convert_i64_s convert_i64_u"), x("i64"))
}
