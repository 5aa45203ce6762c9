package wat

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// code encodes one expression.
type code struct {
	m      *module
	buf    []byte
	locals *space
	labels []label // innermost last
}

type label struct {
	id string
	// elseAllowed is true within the first part of an if.
	elseAllowed bool
}

const (
	opBlock  = 0x02
	opLoop   = 0x03
	opIf     = 0x04
	opElse   = 0x05
	opEnd    = 0x0b
	opSelect = 0x1b
)

func newCode(m *module) *code { return &code{m: m, locals: newSpace("local")} }

func (c *code) local(s *stream, id string) {
	if _, err := c.locals.add(id); err != nil {
		s.fail("%v", err)
	}
}

// declareLocals takes what stands before the body, and encodes it in runs of
// one type.
func (c *code) declareLocals(s *stream) []byte {
	var types []byte
	for {
		inner, ok := s.list("local")
		if !ok {
			break
		}
		id, some := named(inner)
		for range some {
			c.local(s, id)
		}
		types = append(types, some...)
	}
	var runs vector
	for len(types) > 0 {
		n := slices.IndexFunc(types, func(t byte) bool { return t != types[0] })
		if n < 0 {
			n = len(types)
		}
		runs.add(uleb(uint32(n)), types[:1])
		types = types[n:]
	}
	return runs.encode()
}

// expression takes the rest as instructions.
func (c *code) expression(s *stream) []byte {
	c.sequence(s)
	return append(c.buf, opEnd)
}

// sequence takes the rest as instructions. Flat blocks begin and end in it.
func (c *code) sequence(s *stream) {
	outer := len(c.labels)
	for s.more() {
		if s.peek().kind == list {
			c.folded(s.inside(s.next()))
		} else {
			c.flat(s, outer)
		}
	}
	if len(c.labels) > outer {
		s.fail("block without end")
		c.labels = c.labels[:outer]
	}
}

func (c *code) flat(s *stream, outer int) {
	pos := s.peek().pos
	switch {
	case s.keyword("block"):
		c.begin(s, opBlock)
	case s.keyword("loop"):
		c.begin(s, opLoop)
	case s.keyword("if"):
		c.begin(s, opIf)
	case s.keyword("else"):
		c.otherwise(s, outer, pos)
	case s.keyword("end"):
		c.end(s, outer, pos)
	default:
		c.plain(s)
	}
}

// begin takes what follows the keyword of a block.
func (c *code) begin(s *stream, opcode byte) {
	id := s.id()
	c.enter(id, opcode, c.blockType(s))
}

func (c *code) enter(id string, opcode byte, blockType []byte) {
	c.labels = append(c.labels, label{id, opcode == opIf})
	c.buf = append(append(c.buf, opcode), blockType...)
}

func (c *code) leave() {
	c.labels = c.labels[:len(c.labels)-1]
	c.buf = append(c.buf, opEnd)
}

// otherwise takes the label that may be repeated after a flat else.
func (c *code) otherwise(s *stream, outer, pos int) {
	innermost := len(c.labels) - 1
	if innermost < outer || !c.labels[innermost].elseAllowed {
		c.m.fail(pos, "else without if")
		return
	}
	c.repeated(s)
	c.labels[innermost].elseAllowed = false
	c.buf = append(c.buf, opElse)
}

// end takes the label that may be repeated after a flat end.
func (c *code) end(s *stream, outer, pos int) {
	if len(c.labels) == outer {
		c.m.fail(pos, "end without block")
		return
	}
	c.repeated(s)
	c.leave()
}

// repeated takes the label of the innermost block if it is next.
func (c *code) repeated(s *stream) {
	pos := s.peek().pos
	if id := s.id(); id != "" && id != c.labels[len(c.labels)-1].id {
		c.m.fail(pos, "label %s is not that of the block", id)
	}
}

// folded takes an instruction in parentheses.
func (c *code) folded(s *stream) {
	switch {
	case s.keyword("block"):
		c.foldedBlock(s, opBlock)
	case s.keyword("loop"):
		c.foldedBlock(s, opLoop)
	case s.keyword("if"):
		c.foldedIf(s)
	default:
		c.foldedPlain(s)
	}
}

func (c *code) foldedBlock(s *stream, opcode byte) {
	c.begin(s, opcode)
	c.sequence(s)
	c.leave()
}

// foldedIf encodes the condition before it enters the block: labels there do
// not count the if.
func (c *code) foldedIf(s *stream) {
	id := s.id()
	blockType := c.blockType(s)
	for s.peek().kind == list && !s.peek().is("then") {
		c.folded(s.inside(s.next()))
	}
	then, ok := s.list("then")
	if !ok {
		s.fail("expected (then …), got %s", s.peek())
		return
	}
	c.enter(id, opIf, blockType)
	c.sequence(then)
	if otherwise, ok := s.list("else"); ok {
		c.buf = append(c.buf, opElse)
		c.sequence(otherwise)
	}
	s.finish()
	c.leave()
}

// foldedPlain encodes the operands first although they stand last.
func (c *code) foldedPlain(s *stream) {
	before := len(c.buf)
	c.plain(s)
	instruction := slices.Clone(c.buf[before:])
	c.buf = c.buf[:before]
	for s.peek().kind == list {
		c.folded(s.inside(s.next()))
	}
	s.finish()
	c.buf = append(c.buf, instruction...)
}

// plain takes an instruction with its immediates.
func (c *code) plain(s *stream) {
	n := s.next()
	in, ok := instructions()[n.text]
	if !ok || n.kind != word {
		c.m.fail(n.pos, "unknown instruction %s", n)
		return
	}
	c.buf = append(c.buf, in.opcode...)
	in.immediates(c, s, n.text)
}

// blockType takes the type of a block in the shortest encoding.
func (c *code) blockType(s *stream) []byte {
	if s.peek().is("type") {
		index, _, _ := c.m.typeUse(s)
		return sleb(int64(index))
	}
	t, _ := c.m.signature(s)
	switch {
	case len(t.params) == 0 && len(t.results) == 0:
		return []byte{0x40}
	case len(t.params) == 0 && len(t.results) == 1:
		return t.results
	}
	return sleb(int64(c.m.typeIndex(t)))
}

// What follows takes and encodes the immediates of one kind of instruction;
// name is that of the instruction.

func (c *code) none(*stream, string) {}

func (c *code) index(s *stream, of *space) {
	c.buf = append(c.buf, uleb(s.index(of))...)
}

func (c *code) localIndex(s *stream, _ string)  { c.index(s, c.locals) }
func (c *code) globalIndex(s *stream, _ string) { c.index(s, c.m.spaces["global"]) }
func (c *code) funcIndex(s *stream, _ string)   { c.index(s, c.m.spaces["func"]) }
func (c *code) elemIndex(s *stream, _ string)   { c.index(s, c.m.spaces["elem"]) }

func (c *code) dataIndex(s *stream, _ string) {
	c.m.dataIndices = true
	c.index(s, c.m.spaces["data"])
}

func (c *code) tableIndex(s *stream, _ string) {
	c.buf = append(c.buf, uleb(s.indexOr0(c.m.spaces["table"]))...)
}

func (c *code) memoryIndex(s *stream, _ string) {
	c.buf = append(c.buf, uleb(s.indexOr0(c.m.spaces["memory"]))...)
}

// twoTables takes both or none.
func (c *code) twoTables(s *stream, name string) {
	if !s.isIndex() {
		c.buf = append(c.buf, 0, 0)
		return
	}
	c.tableIndex(s, name)
	c.index(s, c.m.spaces["table"])
}

func (c *code) twoMemories(s *stream, name string) {
	c.memoryIndex(s, name)
	c.memoryIndex(s, name)
}

// tableInit takes a segment, before which a table may stand.
func (c *code) tableInit(s *stream, _ string) {
	c.segmentOf(s, c.m.spaces["table"], c.m.spaces["elem"])
}

func (c *code) memoryInit(s *stream, _ string) {
	c.m.dataIndices = true
	c.segmentOf(s, c.m.spaces["memory"], c.m.spaces["data"])
}

func (c *code) segmentOf(s *stream, target, segments *space) {
	var into uint32
	if len(s.nodes) > 1 && (&stream{nodes: s.nodes[1:]}).isIndex() {
		into = s.index(target)
	}
	c.index(s, segments)
	c.buf = append(c.buf, uleb(into)...)
}

func (c *code) label(s *stream, _ string) {
	n := s.peek()
	if n.kind != word || n.text[0] != '$' {
		c.buf = append(c.buf, uleb(s.u32())...)
		return
	}
	for depth := range c.labels {
		if c.labels[len(c.labels)-1-depth].id == n.text {
			s.next()
			c.buf = append(c.buf, uleb(uint32(depth))...)
			return
		}
	}
	s.fail("unknown label %s", n)
	s.next()
}

// labelTable takes one label or more, the last of which is the default.
func (c *code) labelTable(s *stream, name string) {
	targets := &code{m: c.m, labels: c.labels}
	size := -1
	for size < 0 || s.isIndex() {
		targets.label(s, name)
		size++
	}
	c.buf = append(append(c.buf, uleb(uint32(size))...), targets.buf...)
}

func (c *code) indirect(s *stream, _ string) {
	table := s.indexOr0(c.m.spaces["table"])
	index, _, _ := c.m.typeUse(s)
	c.buf = append(append(c.buf, uleb(index)...), uleb(table)...)
}

// selected takes (result …), with which select becomes another instruction.
func (c *code) selected(s *stream, _ string) {
	if !s.peek().is("result") {
		return
	}
	t, _ := c.m.signature(s)
	c.buf[len(c.buf)-1] = opSelect + 1
	c.buf = append(c.buf, sized(t.results)...)
}

func (c *code) heapType(s *stream, _ string) {
	switch {
	case s.keyword("func"):
		c.buf = append(c.buf, 0x70)
	case s.keyword("extern"):
		c.buf = append(c.buf, 0x6f)
	default:
		s.fail("expected func or extern, got %s", s.peek())
	}
}

func (c *code) i32(s *stream, _ string) { c.integer(s, 32) }
func (c *code) i64(s *stream, _ string) { c.integer(s, 64) }

func (c *code) integer(s *stream, bits int) {
	n := s.peek()
	v, ok := parseInt(n.text, bits)
	if !ok || n.kind != word {
		s.fail("expected an integer of %d bits, got %s", bits, n)
	}
	s.next()
	c.buf = append(c.buf, sleb(v)...)
}

func (c *code) f32(s *stream, _ string) {
	c.buf = binary.LittleEndian.AppendUint32(c.buf, uint32(c.float(s, 32)))
}

func (c *code) f64(s *stream, _ string) {
	c.buf = binary.LittleEndian.AppendUint64(c.buf, c.float(s, 64))
}

func (c *code) float(s *stream, bits int) uint64 {
	n := s.peek()
	v, ok := parseFloat(n.text, bits)
	if !ok || n.kind != word {
		s.fail("expected a float of %s bits, got %s", strconv.Itoa(bits), n)
	}
	s.next()
	return v
}
