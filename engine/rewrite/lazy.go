package rewrite

import (
	"cmp"
	"math"
	"slices"
)

// A table that an engine would fill with thousands of functions whenever it makes an
// instance is filled when it is called through instead, element by element: of some
// thousand an activation uses some dozen. The table begins with nulls, and before a
// call through it comes
//
//	if the element is null
//	  call fill with its index
//	end
//
// No guest can tell, because all that it can do to such a table is to call through
// it: who calls through an element that is null to the end, or beyond the end, traps
// as before, and an element that was filled is what it would have been from the
// start. So filling changes no state, and an instance is put back without emptying
// the table.

// ManyElements is from how many elements on it pays to fill a table when it is called
// through, where an engine takes some 100 ns for an element of each instance.
const ManyElements = 256

// mostLazy bounds what is added to a module.
const mostLazy = 1 << 16

// nobody is the function that a null refers to.
const nobody = math.MaxUint32

// lazyTables are those that are filled when they are called through.
type lazyTables struct {
	tables map[uint32]lazyTable // by index
	next   uint32               // function
	funcs  vector               // their types
	code   vector

	filler, finder, looker uint32 // types
}

// lazyTable is one of them, and the functions that fill its elements.
type lazyTable struct{ index, fill, look uint32 }

// element is what a segment puts into its table.
type element struct{ index, function uint32 }

// elementSegment is one as it is in the section.
type elementSegment struct {
	active   bool
	spelled  bool // it says what its elements are
	plain    bool // it is known which functions it puts where, and all are of the module
	table    uint32
	elements []element

	start, rest, end int  // the segment, what follows the offset, its end
	form             byte // that a segment with the same elements has that only declares them
}

// fillLazily has tables be filled when they are called through. It comes after the
// renaming of functions and before function bodies.
func (w *rewriter) fillLazily(types *addedTypes) {
	if w.o.LazyTables == 0 || w.content[codeSection] == nil || !w.manyElements() {
		return
	}
	segments := (&reader{buf: w.content[elemSection]}).elementSegments()
	tables := w.lazily(segments)
	if len(tables) == 0 {
		return
	}
	w.lazy = &lazyTables{
		tables: map[uint32]lazyTable{}, next: w.held() + 1,
		filler: types.add([]byte{typeI32}, nil), finder: types.add([]byte{typeI32}, []byte{typeFuncRef}),
		looker: types.from, // that of tick
	}
	if w.hold == nil {
		w.lazy.next = w.again()
	}
	for t, elements := range tables {
		if elements != nil {
			w.lazy.add(uint32(t), elements)
		}
	}
	w.declare(segments)
}

// manyElements tells whether a module may have such a table, before anything is made
// of its elements.
func (w *rewriter) manyElements() bool {
	s := w.m.sections[elemSection]
	return s != nil && len(s.refs) >= int(w.o.LazyTables) && len(s.refs) <= mostLazy && w.m.elements <= mostLazy
}

// lazyFuncs adds what fills tables. Those functions follow all others. What they do is
// not counted by the guard: each element is filled once, for a call that is charged.
func (w *rewriter) lazyFuncs() {
	if w.lazy != nil {
		w.add(funcSection, w.lazy.funcs)
		w.add(codeSection, w.lazy.code)
	}
}

// lazily gives the elements of tables that can be filled when they are called
// through, by table, and nil for all others.
func (w *rewriter) lazily(segments []elementSegment) [][]element {
	tables, possible := make([][]element, len(w.m.tables)), w.lazyCandidates()
	for i := range segments {
		switch s := &segments[i]; {
		case !s.active || int(s.table) >= len(tables):
		case !s.plain:
			possible[s.table] = false
		default:
			tables[s.table] = append(tables[s.table], s.elements...)
		}
	}
	found := false
	for t, elements := range tables {
		last := lastWords(elements)
		if !possible[t] || len(last) < int(w.o.LazyTables) || len(last) > mostLazy {
			tables[t] = nil
			continue
		}
		tables[t], found = last, true
	}
	if !found {
		return nil
	}
	return tables
}

// lazyCandidates tells which tables are of functions, and seen by nobody but the
// calls through them.
func (w *rewriter) lazyCandidates() []bool {
	candidates := make([]bool, len(w.m.tables))
	for t, kind := range w.m.tables {
		candidates[t] = t >= w.m.imported[kindTable] && kind == typeFuncRef && !(w.found.handled != nil && w.found.handled[t])
	}
	if r := w.m.reader(exportSection); r != nil {
		r.vector("exports", maxDefinitions, func() {
			r.name()
			if kind, index := r.byte(), r.u32(); kind == kindTable {
				candidates[index] = false
			}
		})
	}
	return candidates
}

// lastWords is what becomes of a table, in order: the last segment that names an
// element has the last word.
func lastWords(elements []element) []element {
	slices.SortStableFunc(elements, func(a, b element) int { return cmp.Compare(a.index, b.index) })
	last := elements[:0]
	for i, e := range elements {
		if i+1 == len(elements) || elements[i+1].index != e.index {
			last = append(last, e)
		}
	}
	return slices.DeleteFunc(last, func(e element) bool { return e.function == nobody })
}

// elementSegments reads a section of them that was walked over before.
func (r *reader) elementSegments() []elementSegment {
	r.seen = new(seen)
	segments := make([]elementSegment, r.u32())
	for i := range segments {
		segments[i] = r.elementSegment()
	}
	return segments
}

func (r *reader) elementSegment() (s elementSegment) {
	s.start = r.pos
	form := r.u32()
	if passive := form&1 != 0; passive {
		r.pos = s.start
		r.elemSegment()
		s.end = r.pos
		return s
	}
	const declares, spelled = 3, 2
	s.active, s.spelled, s.form = true, form&spelled != 0, byte(form|declares)
	if s.spelled {
		s.table = r.u32()
	}
	offset, known := r.constant()
	s.rest = r.pos
	if s.spelled {
		kind := r.byte()
		known = known && (!s.byExpression() || kind == typeFuncRef)
	}
	s.plain = known
	s.elements = make([]element, r.u32())
	for i := range s.elements {
		s.elements[i] = element{index: offset + uint32(i)}
		if !s.byExpression() {
			s.elements[i].function = r.u32()
		} else if s.elements[i].function, known = r.functionExpression(); !known {
			s.plain = false
		}
	}
	s.end = r.pos
	return s
}

// functionExpression reads a constant expression, and tells whether it is a function
// of the module or null.
func (r *reader) functionExpression() (function uint32, known bool) {
	refs := len(r.refs)
	start := r.pos
	r.expression()
	switch length := r.pos - start; {
	case r.buf[start] == byte(opRefNull) && length == 3:
		return nobody, true
	case r.buf[start] == byte(opRefFunc) && len(r.refs) == refs+1 && r.refs[refs].end == r.pos-1:
		return r.refs[refs].function, true
	}
	return 0, false
}

// declare has the segments of lazy tables declare their functions, so that ref.func
// may name them. Like an active one that has done its work such a segment is empty to
// whoever names it by its index.
func (w *rewriter) declare(segments []elementSegment) {
	section := w.content[elemSection]
	out := appendU32(make([]byte, 0, len(section)), uint32(len(segments)))
	for i := range segments {
		s := &segments[i]
		if _, lazy := w.lazy.tables[s.table]; !s.active || !lazy {
			out = append(out, section[s.start:s.end]...)
			continue
		}
		out = append(out, s.form)
		if !s.spelled {
			out = append(out, s.kind())
		}
		out = append(out, section[s.rest:s.end]...)
	}
	w.content[elemSection] = out
}

// kind is what elements are where the segment does not say so.
func (s *elementSegment) kind() byte {
	const functions = 0
	if s.byExpression() {
		return typeFuncRef
	}
	return functions
}

// byExpression tells whether the elements of an active segment are expressions.
func (s *elementSegment) byExpression() bool {
	const byExpression = 4
	return s.form&byExpression != 0
}
