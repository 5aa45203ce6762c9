package rewrite

const (
	typeI32     = 0x7f
	typeForm    = 0x60
	mutableFlag = 1
)

// guard adds the tick function and the two globals, and rewrites every function.
func (w *rewriter) guard(g *graph) {
	w.result.Guard = &Guard{
		TickModule: ReservedModule, TickName: TickName,
		FuelExport: FuelExport, DepthExport: DepthExport, StackBytes: int32(w.o.StackBytes),
	}
	fuel := uint32(len(w.m.globals))
	types := newAddedTypes(w.m)
	for _, id := range []int{exportSection, startSection, elemSection, globalSection} {
		w.shiftReferences(id)
	}
	w.add(importSection, tickImport(w.m))
	w.add(globalSection, vector{2, w.guardGlobals()})
	w.export(FuelExport, kindGlobal, fuel)
	w.export(DepthExport, kindGlobal, fuel+1)
	if w.parts != nil {
		w.frame(g, types)
	}
	w.fillLazily(types)
	if w.content[codeSection] != nil {
		e := newEmitter(w, g, types)
		e.tick = w.m.imports()
		w.content[codeSection] = e.section()
	}
	w.add(typeSection, types.vector)
}

// tickImport is of the first type that is added.
func tickImport(m *module) vector {
	imported := appendName(appendName(nil, ReservedModule), TickName)
	return vector{1, appendU32(append(imported, kindFunc), uint32(len(m.types)))}
}

// addedTypes are to follow those of a module.
type addedTypes struct {
	vector
	from      uint32            // index of the first
	byResults map[string]uint32 // those without parameters
}

// newAddedTypes begins with the type of tick.
func newAddedTypes(m *module) *addedTypes {
	return &addedTypes{
		vector:    vector{1, []byte{typeForm, 1, typeI32, 1, typeI32}},
		from:      uint32(len(m.types)),
		byResults: map[string]uint32{},
	}
}

// add gives the index of a type that it adds.
func (t *addedTypes) add(params, results []byte) uint32 {
	t.n++
	t.bytes = appendName(append(t.bytes, typeForm), string(params))
	t.bytes = appendName(t.bytes, string(results))
	return t.from + t.n - 1
}

// block is the type of a block that gives results and takes nothing.
func (t *addedTypes) block(results []byte) []byte {
	switch len(results) {
	case 0:
		return []byte{emptyBlock}
	case 1:
		return results
	}
	index, ok := t.byResults[string(results)]
	if !ok {
		index = t.add(nil, results)
		t.byResults[string(results)] = index
	}
	return appendSigned(nil, int32(index))
}

func (w *rewriter) guardGlobals() []byte {
	var c code
	c = append(c, typeI32, mutableFlag)
	c.constant(0)
	c.op(opEnd)
	c = append(c, typeI32, mutableFlag)
	c.constant(int32(w.o.StackBytes))
	c.op(opEnd)
	return c
}
