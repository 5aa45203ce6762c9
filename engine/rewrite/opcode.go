package rewrite

// An opcode is an instruction; those behind a prefix carry it in the upper byte.
type opcode uint16

// The instructions that the walker tells apart.
const (
	opUnreachable  opcode = 0x00
	opNop          opcode = 0x01
	opBlock        opcode = 0x02
	opLoop         opcode = 0x03
	opIf           opcode = 0x04
	opElse         opcode = 0x05
	opEnd          opcode = 0x0b
	opBr           opcode = 0x0c
	opBrIf         opcode = 0x0d
	opBrTable      opcode = 0x0e
	opReturn       opcode = 0x0f
	opCall         opcode = 0x10
	opCallIndirect opcode = 0x11
	opDrop         opcode = 0x1a
	opSelect       opcode = 0x1b
	opLocalGet     opcode = 0x20
	opLocalSet     opcode = 0x21
	opLocalTee     opcode = 0x22
	opGlobalGet    opcode = 0x23
	opGlobalSet    opcode = 0x24
	opTableGet     opcode = 0x25
	opTableSet     opcode = 0x26
	opI32Const     opcode = 0x41
	opI64Const     opcode = 0x42
	opI32Eq        opcode = 0x46
	opI32LtS       opcode = 0x48
	opI32LtU       opcode = 0x49
	opI32GtU       opcode = 0x4b
	opI32Add       opcode = 0x6a
	opI32Sub       opcode = 0x6b
	opI32Or        opcode = 0x72
	opI32ShrU      opcode = 0x76
	opRefNull      opcode = 0xd0
	opRefIsNull    opcode = 0xd1
	opRefFunc      opcode = 0xd2
	opMemoryInit   opcode = 0xfc08
	opDataDrop     opcode = 0xfc09
	opMemoryCopy   opcode = 0xfc0a
	opMemoryFill   opcode = 0xfc0b
	opTableInit    opcode = 0xfc0c
	opElemDrop     opcode = 0xfc0d
	opTableCopy    opcode = 0xfc0e
	opTableGrow    opcode = 0xfc0f
	opTableSize    opcode = 0xfc10
	opTableFill    opcode = 0xfc11
)

// edited tells whether the guard changes the instruction or keeps count of it.
func (op opcode) edited() bool {
	switch op {
	case opBlock, opLoop, opIf, opEnd, opBr, opBrIf, opBrTable, opReturn, opCall, opCallIndirect, opRefFunc,
		opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy, opTableGrow, opTableFill:
		return true
	}
	return false
}

const (
	prefixMisc   = 0xfc
	prefixVector = 0xfd
)

// immediate says what follows an opcode.
type immediate uint8

const (
	unknownOp immediate = iota
	noImmediate
	blockType
	label
	labels
	function
	typeAndTable
	local
	global
	dataSegment
	dataAndMemory
	oneMemory
	twoMemories
	oneTable
	twoTables
	elements
	elementsAndTable
	valueTypes
	memoryAccess
	memoryLane
	oneByte
	varint32
	varint64
	fourBytes
	eightBytes
	sixteenBytes
)

// operation describes an instruction: what follows it, by how much it changes the
// height of the operand stack where that is the same always, and how many bytes
// of code it counts for beyond its own.
type operation struct {
	immediate immediate
	effect    int8
	extra     uint8
}

// What instructions cost that can take longer than others of their length: those
// that wait for memory, that divide, and that leave machine code.
const (
	extraLoad   = 8
	extraDivide = 24
	extraGrow   = 255
)

type operations [256]operation

func (t *operations) set(imm immediate, effect int8, ops ...byte) {
	for _, op := range ops {
		t[op] = operation{immediate: imm, effect: effect}
	}
}

func (t *operations) fill(imm immediate, effect int8, first, last int) {
	for op := first; op <= last; op++ {
		t[op] = operation{immediate: imm, effect: effect}
	}
}

// The tables are WebAssembly 2.0, which is what engines are told to accept.
// They are not written to after they are made.
var (
	plainOps  = newPlainOps()
	miscOps   = newMiscOps()
	vectorOps = newVectorOps()
)

// slow says what instructions cost.
func (t *operations) slow(extra uint8, ops ...byte) {
	for _, op := range ops {
		t[op].extra = extra
	}
}

func newPlainOps() *operations {
	t := &operations{}
	t.set(noImmediate, 0, 0x00, 0x01, 0x05, 0x0b, 0x0f)
	t.set(blockType, 0, 0x02, 0x03)
	t.set(blockType, -1, 0x04)
	t.set(label, 0, 0x0c)
	t.set(label, -1, 0x0d)
	t.set(labels, -1, 0x0e)
	t.set(function, 0, 0x10)
	t.set(typeAndTable, -1, 0x11)
	t.set(noImmediate, -1, 0x1a)
	t.set(noImmediate, -2, 0x1b)
	t.set(valueTypes, -2, 0x1c)
	t.set(local, 1, 0x20)
	t.set(local, -1, 0x21)
	t.set(local, 0, 0x22)
	t.set(global, 1, 0x23)
	t.set(global, -1, 0x24)
	t.set(oneTable, 0, 0x25)
	t.set(oneTable, -2, 0x26)
	t.fill(memoryAccess, 0, 0x28, 0x35)
	t.fill(memoryAccess, -2, 0x36, 0x3e)
	t.set(oneMemory, 1, 0x3f)
	t.set(oneMemory, 0, 0x40)
	t.set(varint32, 1, 0x41)
	t.set(varint64, 1, 0x42)
	t.set(fourBytes, 1, 0x43)
	t.set(eightBytes, 1, 0x44)
	t.set(oneByte, 1, 0xd0)
	t.set(noImmediate, 0, 0xd1)
	t.set(function, 1, 0xd2)
	t.numeric()
	t.slow(extraGrow, 0x40)
	t.slow(extraDivide, 0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82, 0x91, 0x95, 0x9f, 0xa3)
	for op := byte(0x28); op <= 0x35; op++ {
		t.slow(extraLoad, op)
	}
	t.slow(extraLoad, 0x25)
	return t
}

// numeric has what takes one or two numbers and gives one.
func (t *operations) numeric() {
	t.fill(noImmediate, -1, 0x45, 0xa6)
	t.fill(noImmediate, 0, 0xa7, 0xc4)
	t.set(noImmediate, 0, 0x45, 0x50) // eqz
	for _, unary := range [][2]int{{0x67, 0x69}, {0x79, 0x7b}, {0x8b, 0x91}, {0x99, 0x9f}} {
		t.fill(noImmediate, 0, unary[0], unary[1])
	}
}

func newMiscOps() *operations {
	t := &operations{}
	t.fill(noImmediate, 0, 0, 7)
	t.set(dataAndMemory, -3, 8)
	t.set(dataSegment, 0, 9)
	t.set(twoMemories, -3, 10)
	t.set(oneMemory, -3, 11)
	t.set(elementsAndTable, -3, 12)
	t.set(elements, 0, 13)
	t.set(twoTables, -3, 14)
	t.set(oneTable, -1, 15)
	t.set(oneTable, 1, 16)
	t.set(oneTable, -3, 17)
	return t
}

func newVectorOps() *operations {
	t := &operations{}
	t.fill(memoryAccess, 0, 0x00, 0x0a)
	t.set(memoryAccess, -2, 0x0b)
	t.set(sixteenBytes, 1, 0x0c)
	t.set(sixteenBytes, -1, 0x0d)
	t.set(noImmediate, -1, 0x0e)
	t.fill(noImmediate, 0, 0x0f, 0x14)
	t.fill(oneByte, 0, 0x15, 0x22)
	t.set(oneByte, -1, 0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22) // replace_lane
	t.fill(noImmediate, -1, 0x23, 0x51)
	t.set(noImmediate, 0, 0x4d, 0x53)
	t.set(noImmediate, -2, 0x52)
	t.fill(memoryLane, -1, 0x54, 0x57)
	t.fill(memoryLane, -2, 0x58, 0x5b)
	t.fill(memoryAccess, 0, 0x5c, 0x5d)
	t.fill(noImmediate, -1, 0x5e, 0xff)
	t.unaryVectors()
	t.slow(extraDivide, 0xe3, 0xe7, 0xef, 0xf3)
	for op := byte(0x00); op <= 0x0a; op++ {
		t.slow(extraLoad, op)
	}
	t.slow(extraLoad, 0x54, 0x55, 0x56, 0x57, 0x5c, 0x5d)
	t.set(unknownOp, 0, 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee)
	return t
}

func (t *operations) unaryVectors() {
	for _, unary := range [][2]int{
		{0x5e, 0x64},
		{0x67, 0x6a},
		{0x74, 0x75},
		{0x7a, 0x7a},
		{0x7c, 0x81},
		{0x83, 0x84},
		{0x87, 0x8a},
		{0x94, 0x94},
		{0xa0, 0xa1},
		{0xa3, 0xa4},
		{0xa7, 0xaa},
		{0xc0, 0xc1},
		{0xc3, 0xc4},
		{0xc7, 0xca},
		{0xe0, 0xe1},
		{0xe3, 0xe3},
		{0xec, 0xed},
		{0xef, 0xef},
		{0xf8, 0xff},
	} {
		t.fill(noImmediate, 0, unary[0], unary[1])
	}
}
