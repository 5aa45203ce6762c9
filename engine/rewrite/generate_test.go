package rewrite_test

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	i32 byte = 0x7f
	i64 byte = 0x7e
)

// dice make decisions from bytes, and the plainest when there are none left.
type dice struct{ bytes []byte }

func (d *dice) roll(n int) int {
	if len(d.bytes) == 0 || n <= 1 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % n
}

type signature struct{ params, results []byte }

// generator writes a valid module with nested control flow, calls, multiple
// values and bulk operations. Every round of a loop and every call takes a step
// from a global, so that guests end: at the latest by a trap.
type generator struct {
	dice
	types  []signature
	funcs  []int // types
	code   []byte
	locals []byte
	labels [][]byte
	result []byte
	depth  int
}

// Globals of generated modules, and how deep control flow nests.
const (
	stepsGlobal = iota
	i32Global
	i64Global

	maxDepth = 6
	steps    = 300
)

func generate(data []byte) []byte {
	g := &generator{dice: dice{data}}
	for range 3 + g.roll(4) {
		g.types = append(g.types, signature{g.valueTypes(), g.valueTypes()})
	}
	g.types = append(g.types, signature{}, signature{nil, []byte{i32}}, signature{[]byte{i32}, []byte{i64}})
	for range 2 + g.roll(5) {
		g.funcs = append(g.funcs, g.roll(len(g.types)))
	}
	g.funcs = append(g.funcs, len(g.types)-3) // () -> (), for start
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, g.typeSection()...)
	out = append(out, g.funcSection()...)
	out = append(out, vec(4, 1, []byte{0x70, 0, byte(len(g.funcs) + 2)})...)
	out = append(out, vec(5, 1, []byte{1, 1, 3})...)
	out = append(out, vec(6, 3, concat(
		[]byte{i32, 1, 0x41}, sleb(steps), []byte{0x0b},
		[]byte{i32, 1, 0x41, 7, 0x0b}, []byte{i64, 1, 0x42, 9, 0x0b}))...)
	out = append(out, g.exports()...)
	if g.roll(3) == 1 {
		out = append(out, sectionOf(8, uleb(len(g.funcs)-1))...)
	}
	out = append(out, g.elements()...)
	bodies := g.bodies()
	out = append(out, sectionOf(12, uleb(3))...)
	out = append(out, vec(10, len(g.funcs), bodies)...)
	return append(out, vec(11, 3, concat(
		[]byte{0, 0x41}, sleb(100), []byte{0x0b, 4}, []byte("data"),
		[]byte{1, 7}, []byte("passive"),
		[]byte{0, 0x41}, sleb(102), []byte{0x0b, 5}, []byte("later")))...)
}

func (g *generator) valueTypes() []byte {
	var types []byte
	for range g.roll(4) {
		types = append(types, g.valueType())
	}
	return types
}

func (g *generator) valueType() byte { return i32 - byte(g.roll(2)) }

func (g *generator) typeSection() []byte {
	var out []byte
	for _, t := range g.types {
		out = append(out, 0x60)
		out = append(append(out, uleb(len(t.params))...), t.params...)
		out = append(append(out, uleb(len(t.results))...), t.results...)
	}
	return vec(1, len(g.types), out)
}

func (g *generator) funcSection() []byte {
	var out []byte
	for _, t := range g.funcs {
		out = append(out, uleb(t)...)
	}
	return vec(3, len(g.funcs), out)
}

func (g *generator) exports() []byte {
	var out []byte
	add := func(name string, kind, index int) {
		out = append(append(out, uleb(len(name))...), name...)
		out = append(append(out, byte(kind)), uleb(index)...)
	}
	for i := range g.funcs {
		add(fmt.Sprintf("f%d", i), 0, i)
	}
	add("memory", 2, 0)
	add("g0", 3, stepsGlobal)
	add("g1", 3, i32Global)
	add("g2", 3, i64Global)
	return vec(7, len(g.funcs)+4, out)
}

func (g *generator) elements() []byte {
	out := []byte{0, 0x41, 1, 0x0b}
	out = append(out, uleb(len(g.funcs))...)
	for i := range g.funcs {
		out = append(out, uleb(len(g.funcs)-1-i)...)
	}
	return vec(9, 1, out)
}

func (g *generator) bodies() []byte {
	var out []byte
	for i := range g.funcs {
		body := g.function(g.types[g.funcs[i]])
		out = append(append(out, uleb(len(body))...), body...)
	}
	return out
}

func (g *generator) function(t signature) []byte {
	g.locals = append(append([]byte{}, t.params...), i32, i32, i64, i64, i64)
	g.labels, g.result, g.code, g.depth = [][]byte{t.results}, t.results, nil, 0
	g.step()
	g.statements()
	g.values(t.results)
	g.emit(0x0b)
	return concat([]byte{2, 2, i32, 3, i64}, g.code)
}

func (g *generator) emit(bytes ...byte) { g.code = append(g.code, bytes...) }

func (g *generator) op(op byte, index int) { g.code = append(append(g.code, op), uleb(index)...) }

func (g *generator) constant(t byte, v int) {
	g.emit(0x41 + i32 - t)
	g.emit(sleb(v)...)
}

// step traps when no steps are left, and takes one.
func (g *generator) step() {
	g.op(0x23, stepsGlobal)
	g.emit(0x45, 0x04, 0x40, 0x00, 0x0b)
	g.op(0x23, stepsGlobal)
	g.emit(0x41, 1, 0x6b)
	g.op(0x24, stepsGlobal)
}

func (g *generator) statements() {
	for range g.roll(4) {
		g.statement()
	}
}

func (g *generator) statement() {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > maxDepth || len(g.bytes) == 0 {
		return
	}
	switch g.roll(14) {
	case 0, 1:
		l := g.roll(len(g.locals))
		g.expression(g.locals[l])
		g.op(0x21, l)
	case 2:
		g.expression(i32)
		g.op(0x24, i32Global)
	case 3:
		g.address()
		g.expression(i64)
		g.emit(0x37, 3, 0)
	case 4:
		g.drop(g.block(0x02))
	case 5, 6:
		g.drop(g.block(0x03))
	case 7:
		g.drop(g.conditional())
	case 8:
		g.branch()
	case 9:
		g.drop(g.branchIf())
	case 10:
		g.drop(g.call(g.roll(len(g.funcs))))
	case 11:
		g.drop(g.callIndirect())
	case 12:
		g.bulk()
	case 13:
		g.conditionalReturn()
	}
}

func (g *generator) drop(types []byte) {
	for range types {
		g.emit(0x1a)
	}
}

func (g *generator) values(types []byte) {
	for _, t := range types {
		g.expression(t)
	}
}

// expression leaves a value of a type on the stack.
func (g *generator) expression(t byte) {
	g.depth++
	defer func() { g.depth-- }()
	kind := 0
	if g.depth <= maxDepth {
		kind = g.roll(12)
	}
	switch kind {
	case 0:
		g.constant(t, g.roll(256)-100)
	case 1, 2:
		g.local(t)
	case 3, 4:
		g.expression(t)
		g.expression(t)
		g.emit([]byte{0x6a, 0x6b, 0x6c, 0x73, 0x6d}[g.roll(5)] + (i32-t)*0x12)
	case 5:
		g.address()
		g.emit(0x28+i32-t, 2, byte(g.roll(100)))
	case 6:
		g.op(0x23, i32Global+int(i32-t))
	case 7:
		g.oneOf(t, g.block(0x02+byte(g.roll(2))))
	case 8:
		g.oneOf(t, g.conditional())
	case 9:
		g.oneOf(t, g.call(g.roll(len(g.funcs))))
	case 10:
		g.expression(t)
		g.expression(t)
		g.expression(i32)
		g.emit(0x1b)
	case 11:
		g.oneOf(t, g.callIndirect())
	}
}

// oneOf makes one value of a type out of what is on the stack.
func (g *generator) oneOf(t byte, types []byte) {
	if len(types) == 1 && types[0] == t {
		return
	}
	g.drop(types)
	g.constant(t, 3)
}

func (g *generator) local(t byte) {
	for i := range g.locals {
		if l := (i + g.roll(3)) % len(g.locals); g.locals[l] == t {
			g.op(0x20, l)
			return
		}
	}
	g.constant(t, 5)
}

func (g *generator) address() {
	g.expression(i32)
	g.constant(i32, 0xfff)
	g.emit(0x71)
}

// block writes a block or loop that has a type, whose parameters go to locals,
// and gives the types of its results.
func (g *generator) block(op byte) []byte {
	index := g.roll(len(g.types))
	t := g.types[index]
	g.values(t.params)
	g.emit(op)
	g.emit(sleb(index)...)
	label := t.results
	if op == 0x03 {
		label = t.params
		g.step()
	}
	g.inside(label, func() {
		g.take(t.params)
		g.statements()
		if op == 0x03 && g.roll(2) == 1 {
			g.again(t.params)
		}
		g.values(t.results)
	})
	return t.results
}

// again goes on with the loop around for as long as a global says.
func (g *generator) again(params []byte) {
	g.values(params)
	g.op(0x23, stepsGlobal)
	g.emit(0x41, 3, 0x71)
	g.op(0x0d, 0)
	g.drop(params)
}

func (g *generator) inside(label []byte, content func()) {
	g.labels = append(g.labels, label)
	content()
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(0x0b)
}

// take moves parameters to locals of their types, or drops them.
func (g *generator) take(params []byte) {
	for _, param := range slices.Backward(params) {
		l := g.roll(len(g.locals))
		if g.locals[l] == param {
			g.op(0x21, l)
		} else {
			g.emit(0x1a)
		}
	}
}

func (g *generator) conditional() []byte {
	index := g.roll(len(g.types))
	t := g.types[index]
	g.values(t.params)
	g.expression(i32)
	g.emit(0x04)
	g.emit(sleb(index)...)
	g.inside(t.results, func() {
		g.take(t.params)
		g.statements()
		g.values(t.results)
		g.emit(0x05)
		g.take(t.params)
		g.statements()
		g.values(t.results)
	})
	return t.results
}

func (g *generator) label() (index int, types []byte) {
	index = g.roll(len(g.labels))
	return index, g.labels[len(g.labels)-1-index]
}

// branch leaves by br, br_table or return, in a block of its own so that what
// follows can be reached, and lets some unreachable code follow.
func (g *generator) branch() {
	g.expression(i32)
	g.emit(0x04, 0x40)
	g.inside(nil, func() {
		index, types := g.label()
		g.values(types)
		if g.roll(2) == 1 {
			g.op(0x0c, index)
		} else {
			g.table(index, types)
		}
		if g.roll(3) == 1 {
			g.emit(0x02, 0x40)
			g.inside(nil, g.statements)
			g.op(0x0c, 0)
		}
	})
}

// table branches to the labels that have the types of one of them.
func (g *generator) table(index int, types []byte) {
	targets := []int{index}
	for i := range g.labels {
		if string(g.labels[len(g.labels)-1-i]) == string(types) {
			targets = append(targets, i)
		}
	}
	g.expression(i32)
	g.op(0x0e, len(targets)-1)
	for _, l := range targets {
		g.emit(uleb(l)...)
	}
}

func (g *generator) branchIf() []byte {
	index, types := g.label()
	g.values(types)
	g.expression(i32)
	g.op(0x0d, index)
	return types
}

func (g *generator) call(f int) []byte {
	t := g.types[g.funcs[f]]
	g.values(t.params)
	g.op(0x10, f)
	return t.results
}

func (g *generator) callIndirect() []byte {
	index := g.roll(len(g.types))
	t := g.types[index]
	g.values(t.params)
	g.constant(i32, g.roll(len(g.funcs)+2))
	g.op(0x11, index)
	g.emit(0)
	return t.results
}

func (g *generator) bulk() {
	switch g.roll(5) {
	case 0:
		g.address()
		g.expression(i32)
		g.address()
		g.emit(0xfc, 11, 0)
	case 1:
		g.address()
		g.address()
		g.address()
		g.emit(0xfc, 10, 0, 0)
	case 2:
		g.address()
		g.constant(i32, g.roll(4))
		g.constant(i32, g.roll(5))
		g.emit(0xfc, 8, 1, 0) // wazero does not drop active segments; see TestActiveSegmentsAreDropped
	case 3:
		g.emit(0xfc, 9, byte(g.roll(3)))
	case 4:
		g.constant(i32, g.roll(3))
		g.emit(0x40, 0, 0x1a)
	}
}

func (g *generator) conditionalReturn() {
	g.expression(i32)
	g.emit(0x04, 0x40)
	g.inside(nil, func() {
		g.values(g.result)
		g.emit(0x0f)
	})
}

func sectionOf(id byte, content []byte) []byte {
	return concat([]byte{id}, uleb(len(content)), content)
}

func vec(id byte, n int, content []byte) []byte { return sectionOf(id, concat(uleb(n), content)) }

func uleb(v int) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func sleb(v int) []byte {
	var out []byte
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(out, low)
		}
		out = append(out, low|0x80)
	}
}

func concat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
