package wat

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Ids of sections, as in a binary.
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

// A vector is the encoding of some number of things.
type vector struct {
	size uint32
	buf  []byte
}

func (v *vector) add(parts ...[]byte) {
	v.size++
	for _, part := range parts {
		v.buf = append(v.buf, part...)
	}
}

func (v *vector) encode() []byte { return append(uleb(v.size), v.buf...) }

// A funcType holds encoded value types.
type funcType struct{ params, results []byte }

func (t funcType) encode() []byte {
	return slices.Concat([]byte{0x60}, sized(t.params), sized(t.results))
}

type module struct {
	fault  *fault // the first
	types  []funcType
	spaces map[string]*space // by the keyword of the field

	fields      []*field
	hasOwn      bool // something was defined, so imports are over
	dataIndices bool // some instruction names a data segment

	sections [dataCountSection + 1]vector
	customs  []byte // whole sections
}

// A field is a definition or an import whose index is known.
type field struct {
	*stream // what follows the keyword and the identifier
	pos     int
	kind    string
	index   uint32

	imported     bool
	module, name string
}

func newModule() *module {
	m := &module{spaces: map[string]*space{}}
	for _, kind := range []string{"type", "func", "table", "memory", "global", "elem", "data"} {
		m.spaces[kind] = newSpace(kind)
	}
	return m
}

func (m *module) fail(pos int, format string, args ...any) {
	if m.fault == nil {
		m.fault = &fault{pos, fmt.Sprintf(format, args...)}
	}
}

// assemble reads the fields twice: every identifier must be known before the
// first use is encoded.
func (m *module) assemble(s *stream) {
	if inner, ok := s.list("module"); ok {
		s.finish()
		inner.id()
		s = inner
	}
	for s.more() {
		m.declare(s)
	}
	for _, f := range m.fields {
		m.define(f)
		f.finish()
	}
}

func (m *module) declare(s *stream) {
	if s.peek().kind != list {
		s.fail("expected a field, got %s", s.peek())
		s.next()
		return
	}
	f := &field{stream: s.inside(s.next())}
	f.pos = f.peek().pos
	f.kind = f.head()
	if f.kind == "import" {
		m.declareImport(f)
	}
	if space := m.spaces[f.kind]; space != nil {
		m.declareIndex(f, space)
	}
	m.fields = append(m.fields, f)
}

func (m *module) declareImport(f *field) {
	f.imported, f.module, f.name = true, f.str(), f.str()
	if f.peek().kind != list {
		f.fail("expected what to import, got %s", f.peek())
		return
	}
	inner := f.inside(f.next())
	f.finish()
	f.pos = inner.peek().pos
	f.stream, f.kind = inner, inner.head()
	if externalKind(f.kind) < 0 {
		m.fail(f.pos, "cannot import %s", f.kind)
	}
}

func (m *module) declareIndex(f *field, space *space) {
	pos := f.peek().pos
	index, err := space.add(f.id())
	if err != nil {
		m.fail(pos, "%v", err)
	}
	f.index = index
	switch {
	case f.kind == "type":
		m.types = append(m.types, m.declaredType(f.stream))
	case f.kind == "table" && f.has("elem"):
		m.spaces["elem"].size++
	case f.kind == "memory" && f.has("data"):
		m.spaces["data"].size++
	}
	if externalKind(f.kind) >= 0 {
		m.keepImportsFirst(f)
	}
}

func (m *module) keepImportsFirst(f *field) {
	if !f.imported && !f.has("import") {
		m.hasOwn = true
	} else if m.hasOwn {
		m.fail(f.pos, "import after a definition")
	}
}

// externalKind is how imports and exports encode the kind of a thing; -1 if it
// can be neither.
func externalKind(kind string) int {
	return slices.Index([]string{"func", "table", "memory", "global"}, kind)
}

func (m *module) define(f *field) {
	if kind := externalKind(f.kind); kind >= 0 {
		m.inlineExports(f, byte(kind))
		if in, ok := f.list("import"); ok {
			f.imported, f.module, f.name = true, in.str(), in.str()
			in.finish()
		}
	}
	switch f.kind {
	case "type": // read when it was declared
	case "func":
		m.function(f)
	case "table":
		m.table(f)
	case "memory":
		m.memory(f)
	case "global":
		m.global(f)
	case "export":
		m.export(f)
	case "start":
		m.sections[startSection].buf = uleb(f.stream.index(m.spaces["func"]))
	case "elem":
		m.elem(f)
	case "data":
		m.data(f)
	case "@custom":
		m.customs = append(m.customs, customSection)
		m.customs = append(m.customs, sized(slices.Concat(name(f.str()), []byte(f.strings())))...)
	default:
		m.fail(f.pos, "unknown field %s", f.kind)
	}
}

// place encodes an import, or the definition into its section.
func (m *module) place(f *field, section int, encoded []byte) {
	if !f.imported {
		m.sections[section].add(encoded)
		return
	}
	kind := byte(externalKind(f.kind))
	m.sections[importSection].add(name(f.module), name(f.name), []byte{kind}, encoded)
}

func (m *module) inlineExports(f *field, kind byte) {
	for {
		e, ok := f.list("export")
		if !ok {
			return
		}
		m.sections[exportSection].add(name(e.str()), []byte{kind}, uleb(f.index))
		e.finish()
	}
}

func (m *module) export(f *field) {
	exported := name(f.str())
	if f.peek().kind != list {
		f.fail("expected what to export, got %s", f.peek())
		return
	}
	inner := f.inside(f.next())
	pos := inner.peek().pos
	what := inner.head()
	kind := externalKind(what)
	if kind < 0 {
		m.fail(pos, "cannot export %s", what)
		return
	}
	m.sections[exportSection].add(exported, []byte{byte(kind)}, uleb(inner.index(m.spaces[what])))
	inner.finish()
}

func (m *module) function(f *field) {
	index, t, names := m.typeUse(f.stream)
	m.place(f, funcSection, uleb(index))
	if f.imported {
		return
	}
	c := newCode(m)
	for i := range t.params {
		c.local(f.stream, at(names, i))
	}
	locals := c.declareLocals(f.stream)
	body := c.expression(f.stream)
	m.sections[codeSection].add(sized(slices.Concat(locals, body)))
}

func at(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

func (m *module) table(f *field) {
	t := f.refType()
	if t == 0 {
		l := limits(f.stream)
		if t = f.refType(); t == 0 {
			f.fail("expected a reference type, got %s", f.peek())
		}
		m.place(f, tableSection, slices.Concat([]byte{t}, l))
		return
	}
	inner, ok := f.list("elem")
	if !ok {
		f.fail("expected a limit or (elem …), got %s", f.peek())
		return
	}
	seg := segment{table: f.index, offset: zeroOffset, refType: t}
	m.items(inner, &seg)
	m.place(f, tableSection, slices.Concat([]byte{t, 1}, uleb(seg.items.size), uleb(seg.items.size)))
	m.sections[elemSection].add(seg.encode())
}

func (m *module) memory(f *field) {
	inner, ok := f.list("data")
	if !ok {
		m.place(f, memorySection, limits(f.stream))
		return
	}
	bytes := inner.strings()
	pages := uint32((len(bytes) + 1<<16 - 1) >> 16)
	m.place(f, memorySection, slices.Concat([]byte{1}, uleb(pages), uleb(pages)))
	m.activeData(f.index, zeroOffset, bytes)
}

// limits takes a minimum, perhaps a maximum, and perhaps the word shared.
func limits(s *stream) []byte {
	flags, encoded := byte(0), uleb(s.u32())
	if s.isIndex() {
		flags = 1
		encoded = append(encoded, uleb(s.u32())...)
	}
	if s.keyword("shared") {
		flags |= 2
	}
	return append([]byte{flags}, encoded...)
}

func (m *module) global(f *field) {
	var encoded []byte
	if inner, ok := f.list("mut"); ok {
		encoded = []byte{inner.valueType(), 1}
		inner.finish()
	} else {
		encoded = []byte{f.valueType(), 0}
	}
	if !f.imported {
		encoded = append(encoded, newCode(m).expression(f.stream)...)
	}
	m.place(f, globalSection, encoded)
}

func (m *module) data(f *field) {
	var memory uint32
	inner, hasMemory := f.list("memory")
	if hasMemory {
		memory = inner.index(m.spaces["memory"])
		inner.finish()
	}
	if !hasMemory && f.peek().kind != list {
		m.sections[dataSection].add([]byte{1}, name(f.strings()))
		return
	}
	offset := m.offset(f.stream)
	m.activeData(memory, offset, f.strings())
}

func (m *module) activeData(memory uint32, offset []byte, bytes string) {
	mode := []byte{0}
	if memory != 0 {
		mode = append([]byte{2}, uleb(memory)...)
	}
	m.sections[dataSection].add(mode, offset, name(bytes))
}

var zeroOffset = []byte{0x41, 0, 0x0b}

// offset takes (offset …) or one folded instruction.
func (m *module) offset(s *stream) []byte {
	if inner, ok := s.list("offset"); ok {
		return newCode(m).expression(inner)
	}
	return m.folded(s)
}

// folded takes one folded instruction as an expression.
func (m *module) folded(s *stream) []byte {
	n := s.next()
	if n.kind != list {
		m.fail(n.pos, "expected an instruction in parentheses, got %s", n)
		return nil
	}
	return newCode(m).expression(&stream{nodes: []node{n}, end: n.end, m: m})
}

// A segment holds elements; it is passive or declarative if not active.
type segment struct {
	passive, declarative bool

	table   uint32
	offset  []byte
	refType byte
	byExpr  bool // items are expressions and not indices of functions
	items   vector
}

func (m *module) elem(f *field) {
	const funcref = 0x70
	seg := &segment{refType: funcref}
	inner, hasTable := f.list("table")
	if hasTable {
		seg.table = inner.index(m.spaces["table"])
		inner.finish()
	}
	seg.declarative = f.keyword("declare")
	if active := f.peek().kind == list; active {
		seg.offset = m.offset(f.stream)
	} else if hasTable {
		f.fail("expected an offset, got %s", f.peek())
	} else {
		seg.passive = !seg.declarative
	}
	m.elemList(f.stream, seg)
	m.sections[elemSection].add(seg.encode())
}

func (m *module) elemList(s *stream, seg *segment) {
	if t := s.refType(); t != 0 {
		seg.refType, seg.byExpr = t, true
	} else if !s.keyword("func") && seg.offset == nil {
		s.fail("expected func or a reference type, got %s", s.peek())
	}
	m.items(s, seg)
}

// items takes the rest as indices of functions or as expressions.
func (m *module) items(s *stream, seg *segment) {
	if !seg.byExpr && s.isIndex() {
		for s.more() {
			seg.items.add(uleb(s.index(m.spaces["func"])))
		}
		return
	}
	seg.byExpr = seg.byExpr || s.more()
	for s.more() {
		if inner, ok := s.list("item"); ok {
			seg.items.add(newCode(m).expression(inner))
		} else {
			seg.items.add(m.folded(s))
		}
	}
}

func (seg *segment) encode() []byte {
	const funcref = 0x70
	var flags byte
	var table []byte
	switch {
	case seg.declarative:
		flags = 3
	case seg.passive:
		flags = 1
	case seg.table != 0 || seg.refType != funcref:
		flags, table = 2, uleb(seg.table)
	}
	var kind []byte
	byExpr := seg.byExpr || seg.refType != funcref
	if byExpr && flags != 0 {
		kind = []byte{seg.refType}
	} else if flags != 0 {
		kind = []byte{0}
	}
	if byExpr {
		flags |= 4
	}
	return slices.Concat([]byte{flags}, table, seg.offset, kind, seg.items.encode())
}

// declaredType takes the (func …) of a type definition.
func (m *module) declaredType(s *stream) funcType {
	inner, ok := s.list("func")
	if !ok {
		s.fail("expected (func …), got %s", s.peek())
		return funcType{}
	}
	t, _ := m.signature(inner)
	inner.finish()
	return t
}

// typeUse takes a reference to a type, or a signature, or both. Names are those
// of the parameters that the signature spells out.
func (m *module) typeUse(s *stream) (index uint32, t funcType, names []string) {
	inner, declared := s.list("type")
	if !declared {
		t, names = m.signature(s)
		return m.typeIndex(t), t, names
	}
	index = inner.index(m.spaces["type"])
	inner.finish()
	pos := s.peek().pos
	t, names = m.signature(s)
	if int(index) >= len(m.types) {
		return index, t, names
	}
	spelled := len(t.params)+len(t.results) > 0
	if spelled && !m.types[index].equal(t) {
		m.fail(pos, "signature differs from that of the type")
	}
	return index, m.types[index], names
}

func (t funcType) equal(u funcType) bool {
	return slices.Equal(t.params, u.params) && slices.Equal(t.results, u.results)
}

// typeIndex is the index of a type, which is added if it is new.
func (m *module) typeIndex(t funcType) uint32 {
	i := slices.IndexFunc(m.types, t.equal)
	if i < 0 {
		i = len(m.types)
		m.types = append(m.types, t)
	}
	return uint32(i)
}

// signature takes parameters and then results.
func (m *module) signature(s *stream) (t funcType, names []string) {
	for {
		inner, ok := s.list("param")
		if !ok {
			break
		}
		id, types := named(inner)
		t.params = append(t.params, types...)
		names = append(names, make([]string, len(types))...)
		if id != "" {
			names[len(names)-1] = id
		}
	}
	for {
		inner, ok := s.list("result")
		if !ok {
			return t, names
		}
		t.results = append(t.results, inner.valueTypes()...)
	}
}

// named takes an identifier and one type, or any number of types.
func named(s *stream) (id string, types []byte) {
	if id = s.id(); id == "" {
		return "", s.valueTypes()
	}
	types = []byte{s.valueType()}
	s.finish()
	return id, types
}

func (m *module) encode() []byte {
	for _, t := range m.types {
		m.sections[typeSection].add(t.encode())
	}
	binary := []byte("\x00asm\x01\x00\x00\x00")
	for id := typeSection; id <= elemSection; id++ {
		binary = m.appendSection(binary, id)
	}
	if m.dataIndices {
		binary = append(binary, dataCountSection)
		binary = append(binary, sized(uleb(m.sections[dataSection].size))...)
	}
	binary = m.appendSection(binary, codeSection)
	binary = m.appendSection(binary, dataSection)
	return append(binary, m.customs...)
}

func (m *module) appendSection(binary []byte, id int) []byte {
	section := &m.sections[id]
	if len(section.buf) == 0 {
		return binary
	}
	content := section.encode()
	if id == startSection {
		content = section.buf
	}
	return append(append(binary, byte(id)), sized(content)...)
}

func uleb(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func sleb(v int64) []byte {
	var b []byte
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low < 0x40 || v == -1 && low >= 0x40 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

// sized puts the length in front.
func sized(b []byte) []byte { return append(uleb(uint32(len(b))), b...) }

// name encodes a string.
func name(s string) []byte { return sized([]byte(s)) }
