package rewrite

import (
	"fmt"
	"slices"
)

// Names that Split gives to what it adds.
const (
	LowerName   = "lower"                   // imported from ReservedModule
	FrameModule = reservedExports + "frame" // what parts import from, but for functions

	memoryExport  = reservedExports + "memory"
	loweredExport = reservedExports + "lowered"
)

// Parts is a rewritten module in parts, for engines that take long over all of
// its code. Binary is the frame: the module, in which most functions only ask the
// host for their code. They do so by the imported function
//
//	lower(function i32)
//
// upon which the host instantiates a [Parts.Part] with that function, and with the frame's
// instance as what its module FrameModule is, and everything else as for the
// frame. That puts the functions of the part where the frame and all parts call it from
// then on; who calls it from outside makes the frame ask again, for nothing.
//
// What Held names is not there: nobody holds a
// module in parts. It is safe for concurrent use.
type Parts struct {
	Result

	// LeftOut is how many bytes of code the frame does not have, as they were
	// before.
	LeftOut int

	w      *rewriter
	graph  *graph
	places map[uint32][]place // where tables hold a function, by its index
	names  map[uint32][]byte  // of functions, by their indices
	shared vector             // imports of all parts
}

// guardedTimes is how much larger code is with a guard, at most, usually.
const guardedTimes = 2

// Limits of what each part repeats, and of what a part takes an engine.
const (
	partTypes   = 4 << 10 // bytes
	partGlobals = 64
	partTables  = 8
	partBytes   = 64 << 10
	partPlaces  = 64
)

// Split is Rewrite, guarded and for capture, of a module in parts. A module that
// cannot be split is its own frame, and never asks for a part. Tables stay full: parts
// put their functions there, too.
func Split(binary []byte, o Options) (*Parts, error) {
	if o.Preview != nil {
		o.Preview.resume(binary)
		defer o.Preview.End()
	}
	m, err := decode(binary)
	if err != nil {
		return nil, typed(err)
	}
	o.Guard, o.Capture, o.LazyTables = true, true, 0
	w := newRewriter(m, o)
	p := &Parts{w: w}
	if w.splits() {
		w.parts, w.added = p, 2
	}
	if err := w.rewrite(); err != nil {
		return nil, typed(err)
	}
	p.Result = *w.result
	return p, nil
}

// splits tells whether parts can share all that functions use, at no great cost.
func (w *rewriter) splits() bool {
	m := w.m
	return m.imported[kindTable]+m.imported[kindMemory]+m.imported[kindGlobal] == 0 && len(m.memories) <= 1 &&
		m.typeBytes() <= partTypes && len(m.globals) <= partGlobals && len(m.tables) <= partTables &&
		m.sections[codeSection] != nil && m.filled() <= uint64(len(m.tables)) &&
		!slices.ContainsFunc(m.memories, limits.shared) && w.uncapturable() == ""
}

func (m *module) typeBytes() int {
	if s := m.sections[typeSection]; s != nil {
		return len(s.content)
	}
	return 0
}

// filled is one more than the last table that elements are for, there or not.
func (m *module) filled() uint64 {
	if s := m.sections[elemSection]; s != nil {
		return s.filled
	}
	return 0
}

// stays tells whether a function stays in the module.
func (w *rewriter) stays(b *body) bool { return w.parts == nil || b.bound || len(b.buf) > partBytes }

// frame adds to a module what its parts share, a table of all of its functions
// among that.
func (w *rewriter) frame(g *graph, types *addedTypes) {
	w.parts.graph = g
	imported := appendName(appendName(nil, ReservedModule), LowerName)
	w.add(importSection, vector{1, appendU32(append(imported, kindFunc), types.add([]byte{typeI32}, nil))})
	w.addTable()
	w.exportShared()
	w.parts.shared = w.sharedImports()
	w.parts.names = w.m.namesByFunction()
	if !w.found.tables {
		w.parts.places = w.m.placesByFunction()
	}
}

const typeFuncRef = 0x70

// addTable adds the table that parts call functions from.
func (w *rewriter) addTable() {
	n := uint32(len(w.parts.graph.bodies))
	size := limits{flags: limitsHaveMax, min: n, max: n}
	w.add(tableSection, vector{1, size.append([]byte{typeFuncRef})})
	content := beginElements(place{w.lowered(), 0}, n)
	for i := range n {
		content = appendU32(content, w.shift(w.m.imports()+i))
	}
	w.add(elemSection, vector{1, content})
}

// lowered is the index of that table.
func (w *rewriter) lowered() uint32 { return uint32(len(w.m.tables)) }

// beginElements begins a segment of n functions for a table.
func beginElements(at place, n uint32) []byte {
	const active, functions = 2, 0
	var c code
	c.x(active, at.table)
	c.constant(int32(at.index))
	c.op(opEnd)
	c.x(functions, n)
	return c
}

// exportShared exports what parts import and nobody else does.
func (w *rewriter) exportShared() {
	if len(w.m.memories) > 0 {
		w.export(memoryExport, kindMemory, 0)
	}
	for i := range w.m.tables {
		w.export(tableExport(i), kindTable, uint32(i))
	}
	w.export(loweredExport, kindTable, w.lowered())
	for i, g := range w.m.globals {
		if !g.capturable() {
			w.export(globalExport(i), kindGlobal, uint32(i))
		}
	}
}

func tableExport(i int) string { return fmt.Sprintf("%st%d", reservedExports, i) }

// sharedImports lead to the same indices as in the frame.
func (w *rewriter) sharedImports() vector {
	v, unbounded := vector{}, limits{}.append(nil)
	share := func(name string, kind byte, description []byte) {
		v.append(appendName(appendName(nil, FrameModule), name), []byte{kind}, description)
	}
	if len(w.m.memories) > 0 {
		share(memoryExport, kindMemory, unbounded)
	}
	for i, t := range w.m.tables {
		share(tableExport(i), kindTable, slices.Concat([]byte{t}, unbounded))
	}
	share(loweredExport, kindTable, slices.Concat([]byte{typeFuncRef}, unbounded))
	for i, g := range w.m.globals {
		share(globalExport(i), kindGlobal, g.encode())
	}
	for _, name := range []string{FuelExport, DepthExport} {
		share(name, kindGlobal, []byte{typeI32, mutableFlag})
	}
	return v
}

func (g globalType) encode() []byte {
	if g.mutable {
		return []byte{g.kind, mutableFlag}
	}
	return []byte{g.kind, 0}
}

// stub asks for a function and calls it.
func (e *emitter) stub(part uint32) {
	t := e.m.funcs[e.m.imports()+part]
	e.out = append(e.out[:0], 0) // locals
	e.out.constant(int32(part))
	e.out.x(opCall, e.tick+1)
	for i := range e.m.types[t].params {
		e.out.x(opLocalGet, uint32(i))
	}
	e.callLowered(part, t)
	e.out.op(opEnd)
}

func (e *emitter) callLowered(part, t uint32) {
	e.out.constant(int32(part))
	e.out.x(opCallIndirect, t)
	e.out.index(e.w.lowered())
}

// call names the function as the module does that the code goes to.
func (e *emitter) call() {
	switch {
	case e.part == nil:
		e.replace(1, e.w.reference(e.x))
	case e.x < e.m.imports():
		e.replace(1, e.part.imported(e.x))
	default:
		e.copyTo(e.at)
		e.callLowered(e.x-e.m.imports(), e.m.funcs[e.x])
		e.copied = e.pos
	}
}

// part is a part in the making.
type part struct {
	m       *module
	imports vector // of functions, tick first
	indices map[uint32]uint32
}

// imported is the index of a function that the module imports.
func (p *part) imported(f uint32) uint32 {
	index, ok := p.indices[f]
	if !ok {
		index = p.imports.n
		p.indices[f] = index
		p.imports.append(p.m.hosts[f])
	}
	return index
}

// Count is how many functions the host can be asked for, at most, numbered from 0.
func (p *Parts) Count() uint32 {
	if p.graph == nil {
		return 0
	}
	return uint32(len(p.graph.bodies))
}

// Asked tells whether the frame may ask for a function: some stay in it.
func (p *Parts) Asked(n uint32) bool { return !p.w.stays(&p.graph.bodies[n]) }

// Shape is that of a function.
func (p *Parts) Shape(n uint32) Shape { return p.graph.bodies[n].shape }

// Sound tells whether a function is known to be valid, which no engine needs to see
// again. Of others nothing is known.
func (p *Parts) Sound(n uint32) bool { return p.graph.bodies[n].sound }

// CodeBytes is the size of a function's code in the original.
func (p *Parts) CodeBytes(n uint32) int { return len(p.graph.bodies[n].buf) }

// Part gives a binary that has the code of functions the frame asks for.
func (p *Parts) Part(functions []uint32) []byte {
	m := p.w.m
	made := &part{m: m, imports: tickImport(m), indices: map[uint32]uint32{}}
	e := newEmitter(p.w, p.graph, newAddedTypes(m))
	e.part = made
	var funcs, elements, names vector
	code := vector{bytes: make([]byte, 0, p.codeBytes(functions)*guardedTimes)}
	for _, n := range functions {
		e.function(&p.graph.bodies[n])
		code.append(appendU32(nil, uint32(len(e.out))), e.out)
		funcs.append(appendU32(nil, m.funcs[m.imports()+n]))
	}
	for i, n := range functions {
		f := made.imports.n + uint32(i)
		p.elements(&elements, n, f)
		if name, ok := p.names[m.imports()+n]; ok {
			names.append(appendName(appendU32(nil, f), string(name)))
		}
	}

	var w rewriter
	w.content[typeSection] = m.sections[typeSection].content
	w.add(typeSection, e.types.vector)
	w.add(importSection, p.shared)
	w.add(importSection, made.imports)
	w.add(funcSection, funcs)
	w.add(elemSection, elements)
	w.add(codeSection, code)
	return w.join(namesOfFunctions(append(appendU32(nil, names.n), names.bytes...)))
}

// append adds an element, which comes in pieces.
func (v *vector) append(element ...[]byte) {
	v.n++
	for _, piece := range element {
		v.bytes = append(v.bytes, piece...)
	}
}

// elements put a function, which is f in its part, where it is called from.
func (p *Parts) elements(v *vector, n, f uint32) {
	v.append(appendU32(beginElements(place{p.w.lowered(), n}, 1), f))
	for _, at := range p.places[p.w.m.imports()+n] {
		v.append(appendU32(beginElements(at, 1), f))
	}
}

func (m *module) namesByFunction() map[uint32][]byte {
	r := m.functionNames()
	if r == nil {
		return nil
	}
	n := r.u32()
	names := make(map[uint32][]byte, n)
	for range n {
		f := r.u32()
		names[f] = r.name()
	}
	return names
}
