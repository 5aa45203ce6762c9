package rewrite

import "strings"

const (
	typeI64 = 0x7e
	typeF32 = 0x7d
	typeF64 = 0x7c
)

// signature is what an instruction takes from the operands and gives, where that is the
// same each time.
type signature struct {
	known  bool
	memory bool // there has to be one
	taken  uint8
	takes  uint16 // the types of the upper two operands, the top in the upper byte
	mask   uint16 // of which these are taken
	gives  byte   // 0 for nothing
	limit  uint32 // of the immediate, where there has to be a memory
}

// signatures has instructions by their opcodes, and those with a prefix behind them.
type signatures [noSignature + 1]signature

const (
	miscSignatures = 0x100
	noSignature    = miscSignatures + 8
)

// The table is WebAssembly 2.0 without references and vectors. It is not written
// to after it is made.
var allSignatures = newSignatures()

func signatureOf(op opcode) *signature {
	switch {
	case op < miscSignatures:
		return &allSignatures[op]
	case op >= prefixMisc<<8 && op < opMemoryInit:
		return &allSignatures[miscSignatures+op&7]
	}
	return &allSignatures[noSignature]
}

// typeNamed has i and I for integers of 32 and 64 bits, f and F for floating-point
// numbers.
func typeNamed(c rune) byte {
	return map[rune]byte{'i': typeI32, 'I': typeI64, 'f': typeF32, 'F': typeF64}[c]
}

// set has a letter for each operand, the top last, and for what is given; spaces do
// not count.
func (t *signatures) set(op int, takes, gives string) {
	s := &t[op]
	s.known = true
	for _, c := range strings.ReplaceAll(takes, " ", "") {
		s.taken++
		s.takes, s.mask = s.takes>>8|uint16(typeNamed(c))<<8, s.mask>>8|0xff00
	}
	for _, c := range strings.TrimSpace(gives) {
		s.gives = typeNamed(c)
	}
}

// alike is for instructions that take and give the same.
func (t *signatures) alike(first, last int, takes, gives string) {
	for op := first; op <= last; op++ {
		t.set(op, takes, gives)
	}
}

// row is for one instruction after another, with a letter of each string.
func (t *signatures) row(first int, below, top, gives string) {
	for i := range gives {
		t.set(first+i, below[i:i+1]+top[i:i+1], gives[i:i+1])
	}
}

// inMemory has a digit for the alignment of one instruction after another.
func (t *signatures) inMemory(first int, alignments string) {
	for i, a := range []byte(alignments) {
		t[first+i].memory, t[first+i].limit = true, uint32(a-'0')
	}
}

func newSignatures() *signatures {
	t := &signatures{}
	t.memories()
	t.comparisons()
	t.arithmetic()
	t.conversions()
	t.set(0x43, "", "f")
	t.set(0x44, "", "F")
	return t
}

func (t *signatures) memories() {
	const none = "              "
	t.row(0x28, none, "iiiiiiiiiiiiii", "iIfFiiiiIIIIII") // loads
	t.row(0x36, "iiiiiiiii", "iIfFiiIII", none[:9])       // stores
	t.inMemory(0x28, "23230011001122"+"232301012")
	t.row(0x3f, none, " i", "ii") // memory.size, memory.grow
	t.inMemory(0x3f, "00")
}

func (t *signatures) comparisons() {
	t.alike(0x45, 0x45, "i", "i")
	t.alike(0x46, 0x4f, "ii", "i")
	t.alike(0x50, 0x50, "I", "i")
	t.alike(0x51, 0x5a, "II", "i")
	t.alike(0x5b, 0x60, "ff", "i")
	t.alike(0x61, 0x66, "FF", "i")
}

func (t *signatures) arithmetic() {
	t.alike(0x67, 0x69, "i", "i")
	t.alike(0x6a, 0x78, "ii", "i")
	t.alike(0x79, 0x7b, "I", "I")
	t.alike(0x7c, 0x8a, "II", "I")
	t.alike(0x8b, 0x91, "f", "f")
	t.alike(0x92, 0x98, "ff", "f")
	t.alike(0x99, 0x9f, "F", "F")
	t.alike(0xa0, 0xa6, "FF", "F")
}

func (t *signatures) conversions() {
	const none = "                              "
	t.row(0xa7, none, "IffFFiiffFFiiIIFiiIIffFiIiiIII", "iiiiiIIIIIIfffffFFFFFiIfFiiIII")
	t.row(miscSignatures, none, "ffFFffFF", "iiiiIIII")
}
