package rewrite

// A cursor walks over the instructions of one function body and refuses every
// index that is out of range: what it lets through means the same when there
// are more types, functions, globals, locals and labels than before.
type cursor struct {
	reader
	m      *module
	locals uint32 // parameters included

	at      int // where the instruction begins
	op      opcode
	effect  int
	slow    int      // bytes of code that it counts for beyond its own
	x, y    uint32   // its index or indices, the alignment of an access to memory, or its byte
	targets []uint32 // of br_table, the default last
	depth   uint32   // open blocks, the function itself included
}

// next decodes an instruction. It is false at the end of the body and at an
// error, which is in c.err then.
func (c *cursor) next() bool {
	if c.pos >= len(c.buf) {
		c.finish()
		return false
	}
	c.at = c.pos
	if c.depth == 0 {
		c.fail("instruction after the end of the function")
		return false
	}
	first := c.buf[c.pos]
	c.pos++
	c.op = opcode(first)
	o := plainOps[first]
	if c.op >= prefixMisc {
		o = c.prefixed(first)
	}
	c.effect, c.slow = int(o.effect), int(o.extra)
	if o.immediate != noImmediate {
		c.immediates(o.immediate)
	}
	if c.op <= opEnd {
		c.nest()
	}
	return c.err == nil
}

func (c *cursor) finish() {
	if c.depth != 0 {
		c.fail("function without an end")
	}
}

// prefixed reads the rest of an opcode. That of a vector instruction has to be as short as
// can be: wazero goes by its first byte, and takes a second for the nop that 1 is.
func (c *cursor) prefixed(prefix byte) operation {
	of := miscOps
	switch prefix {
	case prefixMisc:
	case prefixVector:
		of = vectorOps
	default:
		return operation{}
	}
	start := c.pos
	op := c.u32()
	if op > 0xff || prefix == prefixVector && c.pos-start > 1+int(op>>7) {
		return operation{}
	}
	c.op = opcode(prefix)<<8 | opcode(op)
	return of[op]
}

// padded tells whether an opcode is longer than it has to be, which it may be. wazero's
// interpreter goes by its first byte nevertheless, and knows no such instruction.
func (c *cursor) padded() bool { return c.op>>8 == prefixMisc && c.buf[c.at+1] > 0x7f }

func (c *cursor) nest() {
	switch c.op {
	case opBlock, opLoop, opIf:
		c.depth++
	case opEnd:
		c.depth--
	}
}

func (c *cursor) immediates(kind immediate) {
	switch kind {
	case local:
		c.x = c.below("local", c.locals)
	case memoryAccess:
		c.memoryAccess()
	case varint32:
		c.signed(5)
	case blockType:
		c.blockType()
	case label:
		c.x = c.below("label", c.depth)
	case labels:
		c.labels()
	case function:
		c.x = c.below("function", uint32(len(c.m.funcs)))
	case typeAndTable:
		c.x, c.y = c.below("type", uint32(len(c.m.types))), c.table()
	case global:
		c.x = c.below("global", uint32(len(c.m.globals)))
	default:
		c.uncommon(kind)
	}
}

func (c *cursor) uncommon(kind immediate) {
	switch kind {
	case dataSegment:
		c.x = c.u32()
	case dataAndMemory:
		c.x, c.y = c.u32(), c.memory()
	case oneMemory:
		c.x = c.memory()
	case twoMemories:
		c.x, c.y = c.memory(), c.memory()
	case oneTable:
		c.x = c.table()
	case twoTables:
		c.x, c.y = c.table(), c.table()
	case elements:
		c.x = c.below("element segment", c.m.elements)
	case elementsAndTable:
		c.x, c.y = c.below("element segment", c.m.elements), c.table()
	case valueTypes:
		c.vector("types", maxParams, c.valueType)
	case memoryLane:
		c.memoryAccess()
		c.byte()
	case oneByte:
		c.x = uint32(c.byte())
	case varint64:
		c.signed(10)
	case fourBytes:
		c.take(4)
	case eightBytes:
		c.take(8)
	case sixteenBytes:
		c.take(16)
	default:
		c.unknown()
	}
}

func (c *cursor) unknown() {
	if c.err != nil {
		return
	}
	c.pos = c.at
	c.fail("unknown instruction % x", c.buf[c.at:min(c.at+3, len(c.buf))])
	c.err.unsupported = true
}

// memory reads the index of the one memory, for which wazero takes a single byte only.
func (c *cursor) memory() uint32 {
	if c.byte() != 0 {
		c.fail("index of another memory than the first, or of several bytes")
	}
	return 0
}

func (c *cursor) table() uint32 { return c.below("table", uint32(len(c.m.tables))) }

// below reads an index into a space of n.
func (c *cursor) below(of string, n uint32) uint32 {
	x := c.u32()
	if x >= n {
		c.outOfRange(of, x, n)
		return 0
	}
	return x
}

func (c *cursor) outOfRange(of string, x, n uint32) { c.fail("%s %d of %d", of, x, n) }

func (c *cursor) memoryAccess() {
	const memoryFollows = 1 << 6
	if c.x = c.u32(); c.x&memoryFollows != 0 {
		c.fail("access to one of several memories")
	}
	c.u32()
}

func (c *cursor) labels() {
	n := c.count("labels", maxElements)
	c.targets = c.targets[:0]
	for range n + 1 {
		if c.err != nil {
			return
		}
		c.targets = append(c.targets, c.below("label", c.depth))
	}
}

const (
	emptyBlock = 0x40
	// noType stands in x for a block without a type of its own: c.y results.
	noType = ^uint32(0)
)

// blockType reads no type, the type of one result, or the index of a type.
func (c *cursor) blockType() {
	start := c.pos
	first := c.byte()
	switch {
	case first == emptyBlock:
		c.x, c.y = noType, 0
	case first&0xc0 == 0x40:
		c.pos = start
		c.valueType()
		c.x, c.y = noType, 1
	default:
		c.pos = start
		c.x = c.below("type", uint32(len(c.m.types)))
	}
	if c.err == nil && c.x != noType && c.buf[c.pos-1]&0x40 != 0 {
		c.fail("negative type of a block")
	}
}

// arity gives what the block that has just been opened takes and gives.
func (c *cursor) arity() (params, results int) {
	if c.x == noType {
		return 0, int(c.y)
	}
	t := c.m.types[c.x]
	return len(t.params), len(t.results)
}
