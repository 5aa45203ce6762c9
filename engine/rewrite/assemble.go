package rewrite

import (
	"bytes"
	"fmt"
)

// A rewriter puts a module together again.
type rewriter struct {
	m       *module
	o       Options
	result  *Result
	found   *findings
	lazy    *lazyTables                  // nil for a module without
	hold    *hold                        // nil for a module that is not to be held
	content [dataCountSection + 1][]byte // of sections, nil for none
	added   uint32                       // functions imported beyond the module's own
	exports vector
	parts   *Parts // nil where the code stays in one piece
}

// A vector is elements to append to a section.
type vector struct {
	n     uint32
	bytes []byte
}

func newRewriter(m *module, o Options) *rewriter {
	if o.StackBytes == 0 {
		o.StackBytes = DefaultStackBytes
	}
	w := &rewriter{m: m, o: o, result: &Result{Checksum: m.checksum}}
	if o.Guard {
		w.added = 1
	}
	for id, s := range m.sections {
		if s != nil {
			w.content[id] = s.content
		}
	}
	return w
}

func (w *rewriter) rewrite() error {
	graph, err := w.analyse()
	if err != nil {
		return err
	}
	if w.o.Guard {
		w.findHold()
		w.guard(graph)
		w.holdFuncs()
		w.lazyFuncs()
	}
	w.globals()
	if w.o.Capture {
		w.capture()
	}
	w.result.Unresettable = w.unresettable()
	w.add(exportSection, w.exports)
	w.result.Binary = w.join(w.functionNames())
	return nil
}

// analyse looks at all that there is before anything is changed but bounds.
func (w *rewriter) analyse() (*graph, error) {
	graph := newGraph(w.m)
	bodies, err := w.look(graph)
	if err != nil {
		return nil, err
	}
	if err := w.clamp(); err != nil {
		return nil, err
	}
	w.sumUp(bodies)
	if w.o.Guard {
		graph.resolve(bodies)
	}
	return graph, nil
}

// manySegments is how many data segments it takes for another goroutine to pay.
const manySegments = 1000

// look makes the first pass over the code, and lays the image of the data beside that.
func (w *rewriter) look(graph *graph) (bodies []body, err error) {
	code := func() { bodies, w.found, err = w.m.scanCode(graph, w.o.Preview) }
	data := func() { w.result.Image = image(w.m.data) }
	if w.o.Capture {
		w.result.Uncaptured = w.uncapturable()
	}
	switch {
	case !w.o.Capture || w.result.Uncaptured != "":
		code()
	case len(w.m.data) < manySegments:
		data()
		code()
	default:
		beside([]func(){data, code}, func(do func()) { do() })
	}
	return bodies, err
}

func (w *rewriter) sumUp(bodies []body) {
	w.result.Sound = true
	for i := range bodies {
		w.result.Sound = w.result.Sound && bodies[i].sound
		n := uint64(bodies[i].locals)
		w.result.Locals += n
		w.result.MostLocals = max(w.result.MostLocals, n)
	}
}

// clamp bounds tables and memory.
func (w *rewriter) clamp() error {
	if tables := w.content[tableSection]; tables != nil && w.o.TableElements > 0 {
		content, err := clampTables(tables, w.o.TableElements)
		if err != nil {
			return err
		}
		if content != nil {
			w.content[tableSection] = content
		}
	}
	defined := w.m.memories[w.m.imported[kindMemory]:]
	if len(defined) == 0 {
		return nil
	}
	return w.clampMemories(defined)
}

func (w *rewriter) clampMemories(memories []limits) error {
	out := appendU32(nil, uint32(len(memories)))
	for _, l := range memories {
		l, err := clampMemory(l, w.o.MemoryPages)
		if err != nil {
			return err
		}
		out = l.append(out)
	}
	w.content[memorySection] = out
	first, _ := clampMemory(memories[0], w.o.MemoryPages)
	w.result.HasMemory, w.result.MemoryMin, w.result.MemoryMax = true, first.min, maxPages
	if !first.unbounded() {
		w.result.MemoryMax = first.max
	}
	return nil
}

const (
	maxPages = 1 << 16
	pageSize = 1 << 16
)

// clampMemory leaves it to the engine to refuse a memory whose minimum is above
// its own maximum, or whose maximum no memory can have.
func clampMemory(l limits, limit uint32) (limits, error) {
	if limit == 0 || !l.unbounded() && (l.max <= limit || l.min > l.max || l.max > maxPages) {
		return l, nil
	}
	if l.min > limit {
		return l, &MemoryError{Minimum: l.min, Limit: limit}
	}
	l.flags, l.max = l.flags|limitsHaveMax, limit
	return l, nil
}

// add appends elements to the vector that a section is, and makes the section if
// need be.
func (w *rewriter) add(id int, v vector) {
	if v.n == 0 {
		return
	}
	r := &reader{buf: w.content[id]}
	n := uint32(0)
	if r.left() > 0 {
		n = r.u32()
	}
	out := appendU32(make([]byte, 0, len(r.buf)+len(v.bytes)+1), n+v.n)
	out = append(out, r.buf[r.pos:]...)
	w.content[id] = append(out, v.bytes...)
}

func (w *rewriter) export(name string, kind byte, index uint32) {
	w.exports.n++
	w.exports.bytes = appendName(w.exports.bytes, name)
	w.exports.bytes = appendU32(append(w.exports.bytes, kind), index)
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}

// globals lists the globals that hold state, and exports them for capture.
func (w *rewriter) globals() {
	for i, g := range w.m.globals {
		if i < w.m.imported[kindGlobal] || !g.capturable() {
			continue
		}
		name := ""
		if w.o.Capture {
			name = globalExport(i)
			w.export(name, kindGlobal, uint32(i))
		}
		w.result.Globals = append(w.result.Globals, Global{Type: g.kind, Export: name})
	}
}

func globalExport(i int) string { return fmt.Sprintf("%sg%d", reservedExports, i) }

func (g globalType) capturable() bool { return g.mutable && g.numeric() }

func (g globalType) numeric() bool {
	const f64, i32 = 0x7c, 0x7f
	return f64 <= g.kind && g.kind <= i32
}

// shift is the index of a function once the imports are there that are added.
func (w *rewriter) shift(f uint32) uint32 {
	if f >= w.m.imports() {
		return f + w.added
	}
	return f
}

// shiftReferences renames functions outside of function bodies.
func (w *rewriter) shiftReferences(id int) {
	s := w.m.sections[id]
	if s == nil || len(s.refs) == 0 {
		return
	}
	out := make([]byte, 0, len(s.content)+len(s.refs)/4+8)
	last := 0
	for _, ref := range s.refs {
		out = append(out, s.content[last:ref.pos]...)
		out = appendU32(out, w.reference(ref.function))
		last = ref.end
	}
	w.content[id] = append(out, s.content[last:]...)
}

// join writes the sections in their order, and that of names.
func (w *rewriter) join(names []byte) []byte {
	size := len(header)
	for _, content := range w.content {
		size += len(content) + 6
	}
	out := append(make([]byte, 0, size+len(names)+6), header...)
	for _, id := range sectionOrder() {
		out = appendSection(out, id, w.content[id])
	}
	return appendSection(out, customSection, names)
}

// sectionOrder is that of the sections in a binary, without the custom ones.
func sectionOrder() []int {
	return []int{
		typeSection, importSection, funcSection, tableSection, memorySection, globalSection, exportSection,
		startSection, elemSection, dataCountSection, codeSection, dataSection,
	}
}

func appendSection(out []byte, id int, content []byte) []byte {
	if content == nil {
		return out
	}
	out = appendU32(append(out, byte(id)), uint32(len(content)))
	return append(out, content...)
}

// functionNames is the custom section of names with functions' names only.
func (w *rewriter) functionNames() []byte {
	if names := w.m.functionNames(); names != nil {
		return namesOfFunctions(w.shiftNames(names))
	}
	return nil
}

// namesOfFunctions is the content of a section of names.
func namesOfFunctions(names []byte) []byte {
	const functions = 1
	out := appendU32(append([]byte("\x04name"), functions), uint32(len(names)))
	return append(out, names...)
}

func (w *rewriter) shiftNames(r *reader) []byte {
	n := r.u32()
	out := bytes.NewBuffer(make([]byte, 0, len(r.buf)+int(n)/4+8))
	out.Write(appendU32(nil, n))
	for range n {
		f := r.u32()
		start := r.pos
		r.name()
		out.Write(appendU32(out.AvailableBuffer(), w.shift(f)))
		out.Write(r.buf[start:r.pos])
	}
	return out.Bytes()
}
