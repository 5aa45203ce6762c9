package rewrite

import (
	"bytes"
	"math"
)

// Ids of sections.
const (
	customSection = iota
	typeSection
	importSection
	funcSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elemSection
	codeSection
	dataSection
	dataCountSection
)

// Limits that web engines have in common, so that no toolchain passes them:
// https://webassembly.github.io/spec/js-api/#limits
const (
	maxDefinitions  = 1_000_000 // of types, functions, imports, exports, globals each
	maxTables       = 100_000
	maxMemories     = 100
	maxDataSegments = 100_000
	maxElements     = 10_000_000
	maxParams       = 1_000 // and results
	maxLocals       = 50_000
	maxBody         = 7_654_321 // bytes
)

// maxTypeBytes bounds the section of types, which engines make code of and never
// forget: wazero keeps each type as long as it runs. Large Go modules have 10 KiB.
const maxTypeBytes = 256 << 10

// Kinds of imports and exports.
const (
	kindFunc = iota
	kindTable
	kindMemory
	kindGlobal
)

const header = "\x00asm\x01\x00\x00\x00"

type section struct {
	id      byte
	content []byte
	base    int // offset of content in the binary
	refs    []reference
	globals uint32 // one more than the largest index of a global in its constant expressions
	filled  uint64 // one more than the largest index of a table that active segments are for
	data    []segment
}

// A reference is a function index outside of function bodies.
type reference struct {
	pos, end int // in the content of its section
	function uint32
}

// split gives the sections of a module after a walk over everything but
// instructions in function bodies.
func split(binary []byte) ([]section, error) {
	if !bytes.HasPrefix(binary, []byte(header)) {
		return nil, &FormatError{Reason: "no WebAssembly module of version 1"}
	}
	r := &reader{buf: binary, pos: len(header), seen: new(seen)}
	var sections []section
	for r.left() > 0 {
		s := section{id: r.byte()}
		r.within(func(r *reader) {
			s.content, s.base = r.buf, r.base
			r.section(s.id)
			s.refs, s.globals, s.filled, s.data = r.refs, r.globals, r.filled, r.seen.data
		})
		sections = append(sections, s)
	}
	if r.err != nil {
		return nil, r.err
	}
	return sections, nil
}

// section walks over the content of one section.
func (r *reader) section(id byte) {
	switch id {
	case customSection:
		r.custom()
	case typeSection:
		if r.left() > maxTypeBytes {
			r.fail("types of %d bytes exceed the limit of %d", r.left(), maxTypeBytes)
		}
		r.vector("types", maxDefinitions, r.funcType)
	case importSection:
		r.vector("imports", maxDefinitions, r.imported)
	case funcSection:
		r.vector("functions", maxDefinitions, r.index)
	case tableSection:
		r.vector("tables", maxTables, r.table)
	case memorySection:
		r.vector("memories", maxMemories, r.memory)
	case globalSection:
		r.vector("globals", maxDefinitions, r.global)
	case exportSection:
		r.vector("exports", maxDefinitions, r.export)
	case startSection:
		r.funcIndex()
	case dataCountSection:
		r.index()
	case elemSection:
		r.vector("element segments", maxElements, r.elemSegment)
	case codeSection:
		r.vector("bodies", maxDefinitions, r.body)
	case dataSection:
		r.dataSegments()
	default:
		r.fail("unknown section %d", id)
	}
}

// vector walks over a count, which it gives, and as many elements.
func (r *reader) vector(of string, limit uint32, element func()) uint32 {
	n := r.count(of, limit)
	for range n {
		element()
		if r.err != nil {
			return 0
		}
	}
	return n
}

func (r *reader) index() { r.u32() }

func (r *reader) funcIndex() {
	pos := r.pos
	f := r.u32()
	r.refs = append(r.refs, reference{pos, r.pos, f})
}

func (r *reader) globalIndex() { r.globals = max(r.globals, r.u32()+1) }

// valueType leaves it to the engine whether the type exists. Only types in more
// than one byte must not pass: what follows would be misread.
func (r *reader) valueType() {
	const longer, last = 0x64, 0x7f // (ref …), i32
	if t := r.byte(); t <= longer || t > last {
		r.fail("unknown value type %#x", t)
	}
}

func (r *reader) funcType() {
	if form := r.byte(); form != 0x60 {
		r.fail("unknown form of type %#x", form)
	}
	r.vector("parameters", maxParams, r.valueType)
	r.vector("results", maxParams, r.valueType)
}

func (r *reader) imported() {
	r.name()
	r.name()
	r.importedItem()
}

// importedItem walks over the kind and type of an import.
func (r *reader) importedItem() {
	switch kind := r.byte(); kind {
	case 0:
		r.index()
	case 1:
		r.table()
		r.seen.tables[len(r.seen.tables)-1] = math.MaxUint32 // what is imported may be larger
	case 2:
		r.memory()
	case 3:
		r.globalType()
	default:
		r.fail("unknown kind of import %#x", kind)
	}
}

func (r *reader) table() {
	r.valueType()
	l := r.limits()
	if l.shared() {
		r.fail("shared table")
	}
	r.seen.tables = append(r.seen.tables, l.min)
}

func (r *reader) memory() { r.limits() }

func (r *reader) globalType() {
	r.valueType()
	r.byte()
}

func (r *reader) global() {
	r.globalType()
	r.expression()
}

func (r *reader) export() {
	r.name()
	if r.byte() == kindFunc {
		r.funcIndex()
	} else {
		r.index()
	}
}

// elemSegment walks over a segment in one of eight forms: bit 0 tells passive
// and declarative segments from active ones, bit 1 says that the table or the
// type is spelled out (or that the segment is declarative), bit 2 that elements
// are expressions.
func (r *reader) elemSegment() {
	form := r.u32()
	if form > 7 {
		r.fail("unknown form of element segment %d", form)
	}
	active, spelled, byExpression := form&1 == 0, form&2 != 0, form&4 != 0
	var table, offset uint32
	known := false
	if active && spelled {
		table = r.u32()
	}
	if active {
		r.filled = max(r.filled, uint64(table)+1)
		offset, known = r.constant()
	}
	if !active || spelled {
		r.elemKind(byExpression)
	}
	element := r.funcIndex
	if byExpression {
		element = r.expression
	}
	if n := r.vector("elements", maxElements, element); known {
		r.fits(table, uint64(offset)+uint64(n))
	}
}

// fits refuses a segment beyond the end of its table. Such a module traps when
// it is instantiated, but wazero leaves the rest of the segments out, and runs it.
func (r *reader) fits(table uint32, end uint64) {
	if tables := r.seen.tables; int(table) < len(tables) && end > uint64(tables[table]) {
		r.fail("element segment ends at %d, its table has %d elements", end, tables[table])
	}
}

func (r *reader) elemKind(byExpression bool) {
	if byExpression {
		r.valueType()
	} else {
		r.byte()
	}
}

// A segment is a data segment of a binary.
type segment struct {
	passive  bool
	constant bool // its offset is a plain number
	memory   uint32
	offset   uint32
	content  []byte
}

func (r *reader) dataSegments() {
	n := r.count("data segments", maxDataSegments)
	all := make([]segment, n)
	for i := range all {
		if r.dataSegment(&all[i]); r.err != nil {
			return
		}
	}
	r.seen.data = all
}

func (r *reader) dataSegment(s *segment) {
	switch form := r.u32(); form {
	case 0:
	case 1:
		s.passive = true
	case 2:
		s.memory = r.u32()
	default:
		r.fail("unknown form of data segment %d", form)
	}
	if !s.passive {
		s.offset, s.constant = r.constant()
	}
	s.content = r.bytes()
}

// expression walks over a constant expression.
func (r *reader) expression() { r.constant() }

// constant walks over a constant expression, and gives its value if it is a
// single i32.const.
func (r *reader) constant() (value uint32, known bool) {
	for length := 0; r.err == nil; length++ {
		switch op := r.byte(); op {
		case 0x0b: // end
			return value, known && length == 1
		case 0x23: // global.get
			r.globalIndex()
		case 0xd2: // ref.func
			r.funcIndex()
		case 0x41: // i32.const
			wide := r.signed(5)
			value, known = uint32(wide), wide == int64(int32(wide))
		case 0x42: // i64.const
			r.signed(10)
		case 0x43: // f32.const
			r.take(4)
		case 0x44: // f64.const
			r.take(8)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul
		case 0xd0: // ref.null
			r.valueType()
		case 0xfd:
			r.vectorConst()
		default:
			r.fail("instruction %#x in a constant expression", op)
		}
	}
	return 0, false
}

func (r *reader) vectorConst() {
	const v128Const, size = 0x0c, 16
	if op := r.byte(); op != v128Const {
		r.fail("vector instruction %#x in a constant expression", op)
	}
	r.take(size)
}

// body walks over the locals of a function. Engines keep something for each.
func (r *reader) body() {
	start := r.pos
	code := r.sized()
	if r.pos-start > maxBody {
		r.fail("function of %d bytes exceeds the limit of %d", r.pos-start, maxBody)
	}
	code.walkLocals()
	r.adopt(code)
}

// walkLocals walks over the locals that begin a body, and tells whether they are in
// order.
func (r *reader) walkLocals() bool {
	var locals uint64
	r.vector("kinds of locals", math.MaxUint32, func() {
		locals += uint64(r.u32())
		r.valueType()
		if locals > maxLocals {
			r.fail("%d locals exceed the limit of %d", locals, maxLocals)
		}
	})
	return r.err == nil
}

// custom reads what a custom section is called. What is wrong in the rest makes no
// module invalid.
func (r *reader) custom() {
	r.text()
	r.take(uint32(r.left()))
}

// isNames tells whether a section has the names that engines read for their stack traces,
// such as can be read.
func isNames(s section) bool {
	r := &reader{buf: s.content}
	if s.id != customSection || string(r.name()) != "name" {
		return false
	}
	for r.left() > 0 {
		id := r.byte()
		r.within(func(r *reader) { r.names(id) })
	}
	return r.err == nil
}

func (r *reader) names(id byte) {
	const module, functions, locals = 0, 1, 2
	switch id {
	case module:
		r.text()
	case functions:
		r.nameMap()
	case locals:
		r.vector("functions with names", maxDefinitions, func() {
			r.index()
			r.nameMap()
		})
	default:
		r.take(uint32(r.left()))
	}
}

func (r *reader) nameMap() {
	r.vector("names", maxDefinitions, func() {
		r.index()
		r.text()
	})
}
