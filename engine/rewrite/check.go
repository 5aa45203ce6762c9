package rewrite

import (
	"encoding/binary"
	"slices"
)

// A checker follows the types of the operands through a function, by the algorithm
// that https://webassembly.github.io/spec/core/appendix/algorithm.html gives. It only
// ever says yes: what compilers rarely emit makes it unsure, as what is wrong does, and
// then it is for an engine to say, which takes several times as long. Each instruction
// costs it no more than a few steps, whatever its type.
type checker struct {
	m        *module
	locals   []byte // their types
	blocks   []checkedBlock
	operands [maxOperands]byte // their types, above two that are none
	height   int
	checkedBlock
	unsure bool
}

const (
	// maxOperands is how many operands it can be sure of.
	maxOperands = 1 << 10
	// maxTaken is how many a label, block or function may take or give.
	maxTaken = 32
)

// checkedBlock is an open block.
type checkedBlock struct {
	base int32  // how many operands are not its own
	kind uint32 // its type, or noType
	one  byte   // its result in that case, or 0
	op   byte
	dead bool // the rest of it cannot be reached
}

// begin is for a function whose locals have been read.
func (c *checker) begin(m *module, function uint32, b *body) {
	const none = 2
	c.m, c.unsure = m, false
	c.height, c.blocks = none, c.blocks[:0]
	c.checkedBlock = checkedBlock{op: byte(opBlock), kind: m.funcs[function], base: none}
	c.locals = append(c.locals[:0], m.typeOf(function).params...)
	groups := reader{buf: b.buf[:b.pos], pos: b.groupsFrom}
	for range b.groups {
		n, kind := groups.u32(), groups.byte()
		c.require(isValueType(kind))
		for range n {
			c.locals = append(c.locals, kind)
		}
	}
}

func isValueType(t byte) bool {
	const v128, externRef = 0x7b, 0x6f
	return t >= v128 && t <= typeI32 || t == typeFuncRef || t == externRef
}

func (c *checker) require(ok bool) { c.unsure = c.unsure || !ok }

// plain is for what takes and gives the same each time.
func (c *checker) plain(s *signature, immediate uint32) {
	rest := c.height - int(s.taken)
	if rest < int(c.base) {
		c.unsure = true // in code that cannot be reached, too
		return
	}
	top := binary.LittleEndian.Uint16(c.operands[c.height-2:])
	if top&s.mask != s.takes || s.memory && (immediate > s.limit || len(c.m.memories) == 0) {
		c.unsure = true
	}
	c.height = rest
	if s.gives != 0 {
		c.push(s.gives)
	}
}

func (c *checker) push(t byte) {
	if c.height == maxOperands {
		c.unsure = true
		return
	}
	c.operands[c.height] = t
	c.height++
}

func (c *checker) pushAll(types []byte) {
	for _, t := range types {
		c.push(t)
	}
}

// pop takes an operand, which in code that cannot be reached may be any.
func (c *checker) pop(want byte) {
	if c.height == int(c.base) {
		c.require(c.dead)
		return
	}
	c.height--
	c.require(c.operands[c.height] == want)
}

func (c *checker) popAll(types []byte) {
	for _, t := range slices.Backward(types) {
		c.pop(t)
	}
}

func (c *checker) drop() {
	if c.height == int(c.base) {
		c.require(c.dead)
		return
	}
	c.height--
}

// choose is sure of two numbers of one type.
func (c *checker) choose() {
	c.pop(typeI32)
	if c.height < int(c.base)+2 {
		c.unsure = true
		return
	}
	c.height--
	a, b := c.operands[c.height], c.operands[c.height-1]
	c.require(a == b && a >= typeF64)
}

// constant is for a number of so many bits in so many digits, of which the last is the
// upper.
func (c *checker) constant(t byte, bits, digits int, last byte) {
	c.push(t)
	if unused := 7*digits - bits; unused >= 0 {
		sign := int8(last<<1) >> (7 - unused)
		c.require(sign == 0 || sign == -1)
	}
}

// bulk is for what takes a place in memory, something, and a size.
func (c *checker) bulk(memory uint32) {
	c.pop(typeI32)
	c.pop(typeI32)
	c.pop(typeI32)
	c.require(memory == 0 && len(c.m.memories) > 0)
}

func (c *checker) setGlobal(g globalType) {
	c.pop(g.kind)
	c.require(g.mutable)
}

// open begins a block, whose type is that which the cursor has read last.
func (c *checker) open(at *cursor) {
	b := checkedBlock{op: byte(at.op), kind: at.x}
	if at.x == noType && at.y > 0 {
		b.one = at.buf[at.pos-1]
		c.require(isValueType(b.one))
	}
	if at.op == opIf {
		c.pop(typeI32)
	}
	params := c.params(&b)
	c.popAll(params)
	b.base = int32(c.height)
	c.blocks = append(c.blocks, c.checkedBlock)
	c.checkedBlock = b
	c.pushAll(params)
}

func (c *checker) params(b *checkedBlock) []byte {
	if b.kind == noType {
		return nil
	}
	return c.few(c.m.types[b.kind].params)
}

func (c *checker) results(b *checkedBlock) []byte {
	switch {
	case b.kind != noType:
		return c.few(c.m.types[b.kind].results)
	case b.one != 0:
		return oneType[b.one:][:1]
	}
	return nil
}

// few is sure of no more types than it takes one instruction's time to look at.
func (c *checker) few(types []byte) []byte {
	if len(types) > maxTaken {
		c.unsure = true
		return nil
	}
	return types
}

// oneType has at each index a list of just that type.
var oneType = func() (all [256]byte) {
	for i := range all {
		all[i] = byte(i)
	}
	return all
}()

func (c *checker) otherwise() {
	c.finish()
	c.op, c.dead = byte(opElse), false
	c.pushAll(c.params(&c.checkedBlock))
}

func (c *checker) close() {
	c.finish()
	b, n := c.checkedBlock, len(c.blocks)-1
	if b.op == byte(opIf) {
		c.require(string(c.params(&b)) == string(c.results(&b)))
	}
	if n < 0 {
		return // it was the function's
	}
	c.checkedBlock, c.blocks = c.blocks[n], c.blocks[:n]
	c.pushAll(c.results(&b))
}

// finish comes to the end of a block, where there must be its results and nothing
// else.
func (c *checker) finish() {
	c.popAll(c.results(&c.checkedBlock))
	c.require(c.height == int(c.base))
	c.height = int(c.base)
}

// label gives the types that a branch to a label takes along.
func (c *checker) label(l uint32) []byte {
	b := &c.checkedBlock
	if l > 0 {
		b = &c.blocks[len(c.blocks)-int(l)]
	}
	if b.op == byte(opLoop) {
		return c.params(b)
	}
	return c.results(b)
}

func (c *checker) branch(l uint32) {
	c.popAll(c.label(l))
	c.diverge()
}

func (c *checker) branchIf(l uint32) {
	c.pop(typeI32)
	types := c.label(l)
	c.popAll(types)
	c.pushAll(types)
}

// branchTable is sure of labels of the same types, in code that can be reached.
func (c *checker) branchTable(targets []uint32) {
	c.pop(typeI32)
	c.require(!c.dead)
	types := c.label(targets[len(targets)-1])
	for _, l := range targets {
		c.require(string(c.label(l)) == string(types))
	}
	c.popAll(types)
	c.diverge()
}

func (c *checker) giveBack() { c.branch(uint32(len(c.blocks))) }

// diverge is where control does not go on.
func (c *checker) diverge() {
	c.height = int(c.base)
	c.dead = true
}

func (c *checker) call(t *funcType) {
	c.popAll(c.few(t.params))
	c.pushAll(c.few(t.results))
}

func (c *checker) callThrough(table byte, t *funcType) {
	c.pop(typeI32)
	c.require(table == typeFuncRef)
	c.call(t)
}
