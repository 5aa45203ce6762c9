package rewrite

import (
	"bytes"
	"hash/crc32"
)

// A module is what the rewriter knows of a binary: its index spaces, and which
// functions are named outside of function bodies.
type module struct {
	sections [dataCountSection + 1]*section // by id, without the custom ones
	names    *section                       // the custom section of names

	types    []funcType
	funcs    []uint32 // types; imported functions first, as in every index space
	globals  []globalType
	memories []limits
	tables   []byte              // their types
	imported [kindGlobal + 1]int // by kind
	elements uint32              // segments
	data     []segment
	hosts    [][]byte // imports of functions, as they are in the binary
	checksum uint32   // of the binary

	declared []bool // by function: named outside of bodies, so that ref.func may name it
	taken    []bool // by function: may be in a table
}

type funcType struct {
	params, results []byte
	key             string // equal for equal types
}

type globalType struct {
	kind    byte
	mutable bool
}

// decode reads the sections of a binary but for its function bodies.
func decode(binary []byte) (*module, error) {
	sections, err := split(binary)
	if err != nil {
		return nil, err
	}
	m := &module{checksum: crc32.Checksum(binary, crc32.MakeTable(crc32.Castagnoli))}
	if err := m.place(sections); err != nil {
		return nil, err
	}
	for _, read := range []struct {
		id      int
		content func(*reader)
	}{
		{typeSection, m.readTypes},
		{importSection, m.readImports},
		{funcSection, m.readFuncs},
		{tableSection, m.readTables},
		{memorySection, m.readMemories},
		{globalSection, m.readGlobals},
		{exportSection, m.readExports},
		{elemSection, func(r *reader) { m.elements = r.u32() }},
	} {
		if r := m.reader(read.id); r != nil {
			read.content(r)
			if r.err != nil {
				return nil, r.err
			}
		}
	}
	if s := m.sections[dataSection]; s != nil {
		m.data = s.data
	}
	return m, m.readReferences()
}

// order is where a section stands among the others.
func order(id byte) int {
	if id == dataCountSection {
		return 2*elemSection + 1
	}
	return 2 * int(id)
}

func (m *module) place(sections []section) error {
	last := 0
	for i := range sections {
		s := &sections[i]
		if s.id == customSection {
			if m.names == nil && isNames(*s) {
				m.names = s
			}
			continue
		}
		if order(s.id) <= last {
			return &FormatError{Offset: s.base, Reason: "section out of order"}
		}
		last = order(s.id)
		m.sections[s.id] = s
	}
	return nil
}

// reader reads a section, if there is one.
func (m *module) reader(id int) *reader {
	s := m.sections[id]
	if s == nil {
		return nil
	}
	return &reader{buf: s.content, base: s.base}
}

func (m *module) readTypes(r *reader) {
	r.vector("types", maxDefinitions, func() {
		r.byte()
		start := r.pos
		t := funcType{params: r.bytes(), results: r.bytes()}
		t.key = string(r.buf[start:r.pos])
		m.types = append(m.types, t)
	})
}

func (m *module) readImports(r *reader) {
	r.vector("imports", maxDefinitions, func() {
		start := r.pos
		if from := r.name(); string(from) == ReservedModule {
			r.reserved(from)
		}
		r.name()
		kind := r.byte()
		switch kind {
		case kindFunc:
			m.addFunc(r)
			m.hosts = append(m.hosts, r.buf[start:r.pos])
		case kindTable:
			m.addTable(r)
		case kindMemory:
			m.memories = append(m.memories, r.limits())
		case kindGlobal:
			m.addGlobal(r)
		}
		m.imported[kind]++
	})
}

func (m *module) addFunc(r *reader) {
	t := r.u32()
	if int(t) >= len(m.types) {
		r.fail("type %d of %d", t, len(m.types))
	}
	m.funcs = append(m.funcs, t)
}

func (m *module) addTable(r *reader) {
	m.tables = append(m.tables, r.byte())
	r.limits()
}

func (m *module) addGlobal(r *reader) {
	m.globals = append(m.globals, globalType{kind: r.byte(), mutable: r.byte() != 0})
}

func (m *module) readFuncs(r *reader) {
	r.vector("functions", maxDefinitions, func() { m.addFunc(r) })
}

func (m *module) readTables(r *reader) {
	r.vector("tables", maxTables, func() { m.addTable(r) })
}

func (m *module) readMemories(r *reader) {
	r.vector("memories", maxMemories, func() { m.memories = append(m.memories, r.limits()) })
}

func (m *module) readGlobals(r *reader) {
	r.vector("globals", maxDefinitions, func() {
		m.addGlobal(r)
		r.expression()
	})
}

func (m *module) readExports(r *reader) {
	r.vector("exports", maxDefinitions, func() {
		name := r.name()
		if bytes.HasPrefix(name, []byte(reservedExports)) {
			r.reserved(name)
		}
		kind, index := r.byte(), r.u32()
		if kind == kindGlobal && int(index) >= len(m.globals) {
			r.fail("global %d of %d", index, len(m.globals))
		}
		if kind == kindTable && int(index) >= len(m.tables) {
			r.fail("table %d of %d", index, len(m.tables))
		}
	})
}

// reserved refuses a name that the rewriter keeps for itself.
func (r *reader) reserved(name []byte) {
	r.fail("%q is reserved", name)
	if r.err.reserved == "" {
		r.err.reserved = string(name)
	}
}

// readReferences checks the indices outside of function bodies.
func (m *module) readReferences() error {
	m.declared = make([]bool, len(m.funcs))
	m.taken = make([]bool, len(m.funcs))
	for _, s := range m.sections {
		if s == nil {
			continue
		}
		if int(s.globals) > len(m.globals) {
			return &FormatError{Offset: s.base, Reason: "constant expression names a global out of range"}
		}
		for _, ref := range s.refs {
			if int(ref.function) >= len(m.funcs) {
				return &FormatError{Offset: s.base + ref.pos, Reason: "function index out of range"}
			}
			m.declared[ref.function] = m.declared[ref.function] || s.id != startSection
			m.taken[ref.function] = m.taken[ref.function] || s.id == elemSection || s.id == globalSection
		}
	}
	return nil
}

// functionNames reads the names of functions from where their number is, nil if
// there are none.
func (m *module) functionNames() *reader {
	if m.names == nil {
		return nil
	}
	const functions = 1
	r := &reader{buf: m.names.content}
	r.name()
	for r.left() > 0 {
		if id, part := r.byte(), r.sized(); id == functions && part.left() > 0 {
			return part
		}
	}
	return nil
}

// imports is how many functions are imported.
func (m *module) imports() uint32 { return uint32(m.imported[kindFunc]) }

func (m *module) typeOf(f uint32) *funcType { return &m.types[m.funcs[f]] }

// start is the start function.
func (m *module) start() (f uint32, ok bool) {
	if s := m.sections[startSection]; s != nil && len(s.refs) == 1 {
		return s.refs[0].function, true
	}
	return 0, false
}
