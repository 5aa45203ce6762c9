package rewrite

import "slices"

// What a host says to, and hears from, a command that it holds.
const (
	// ReadModule is where a guest imports from what it reads by.
	ReadModule = "wasi_snapshot_preview1"

	// ReadName is the name of that.
	ReadName = "fd_read"

	// Again, given by the host function that reads, has the guest call it again,
	// with the same arguments. It is no errno.
	Again = -1

	// Returned is what tick is called with when HeldExport's _start has returned.
	// It is more stack than any guest is allowed.
	Returned = 1<<31 - 1
)

// hold are the functions by which a command can be held where it reads.
type hold struct {
	start uint32 // what the module exports as _start
	read  uint32 // what it imports to read by
}

// holdable finds them. It is nil for a module without, and for one that could
// read otherwise, too.
func (m *module) holdable() *hold {
	var starts, reads []uint32
	for _, x := range m.exportedFuncs() {
		if x.name == "_start" && len(m.typeOf(x.function).params)+len(m.typeOf(x.function).results) == 0 {
			starts = append(starts, x.function)
		}
	}
	for f, name := range m.importedFuncs() {
		if name == ReadModule+"."+ReadName && m.readsLike(uint32(f)) {
			reads = append(reads, uint32(f))
		}
	}
	if len(starts) != 1 || len(reads) != 1 {
		return nil
	}
	return &hold{start: starts[0], read: reads[0]}
}

// readsLike tells whether a function has the signature of fd_read.
func (m *module) readsLike(f uint32) bool {
	t := m.typeOf(f)
	return slices.Equal(t.params, []byte{typeI32, typeI32, typeI32, typeI32}) && slices.Equal(t.results, []byte{typeI32})
}

type exportedFunc struct {
	name     string
	function uint32
}

func (m *module) exportedFuncs() (list []exportedFunc) {
	r := m.reader(exportSection)
	if r == nil {
		return nil
	}
	r.vector("exports", maxDefinitions, func() {
		name := string(r.name())
		if kind, index := r.byte(), r.u32(); kind == kindFunc {
			list = append(list, exportedFunc{name, index})
		}
	})
	return list
}

// importedFuncs are the names of all that is imported, by function.
func (m *module) importedFuncs() (names []string) {
	for _, i := range m.importList() {
		if i.Kind == KindFunc {
			names = append(names, i.Module+"."+i.Name)
		}
	}
	return names
}

// findHold finds out what is wanted to hold a module.
func (w *rewriter) findHold() {
	if !w.o.Hold {
		return
	}
	h := w.m.holdable()
	if h == nil {
		return
	}
	w.result.Held = HeldExport
	if w.parts == nil {
		w.hold = h
	}
}

// again is the function in the place of the one that reads, held the one to call
// in the place of _start. They follow all others and the guard's.
func (w *rewriter) again() uint32 { return uint32(len(w.m.funcs)) + 1 }
func (w *rewriter) held() uint32  { return w.again() + 1 }

// reference is the index of what is called where a function was.
func (w *rewriter) reference(f uint32) uint32 {
	if w.hold != nil && f == w.hold.read {
		return w.again()
	}
	return w.shift(f)
}

// holdFuncs adds both functions. They do no work that the guard would count: one
// calls again only for the host.
func (w *rewriter) holdFuncs() {
	if w.hold == nil {
		return
	}
	types := appendU32(appendU32(nil, w.m.funcs[w.hold.read]), w.m.funcs[w.hold.start])
	w.add(funcSection, vector{2, types})
	again, held := w.againBody(), w.heldBody()
	w.add(codeSection, vector{2, append(appendName(nil, string(again)), appendName(nil, string(held))...)})
	w.export(HeldExport, kindFunc, w.held())
}

// againBody passes its arguments on until the answer is another than Again:
//
//	loop
//	  call read with the arguments
//	  br_if its result is Again
//	end
//	the result
func (w *rewriter) againBody() code {
	const params, result = 4, 4
	c := code{1, 1, typeI32}
	c.op(opLoop)
	c = append(c, emptyBlock)
	for p := range uint32(params) {
		c.x(opLocalGet, p)
	}
	c.x(opCall, w.hold.read)
	c.x(opLocalTee, result)
	c.constant(Again)
	c.op(opI32Eq)
	c.x(opBrIf, 0)
	c.op(opEnd)
	c.x(opLocalGet, result)
	c.op(opEnd)
	return c
}

// heldBody calls _start, and says so when that has returned.
func (w *rewriter) heldBody() code {
	c := code{0}
	c.x(opCall, w.shift(w.hold.start))
	c.constant(Returned)
	c.x(opCall, w.m.imports())
	c.op(opDrop)
	c.op(opEnd)
	return c
}
