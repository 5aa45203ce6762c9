package rewrite

const (
	typeI32     = 0x7f
	typeForm    = 0x60
	mutableFlag = 1
)

// guard adds the tick function and the two globals, and rewrites every function.
func (w *rewriter) guard(g *graph, bodies []body) {
	w.result.Guard = &Guard{
		TickModule: ReservedModule, TickName: TickName,
		FuelExport: FuelExport, DepthExport: DepthExport, StackBytes: int32(w.o.StackBytes),
	}
	tickType := uint32(len(w.m.types))
	fuel := uint32(len(w.m.globals))
	for _, id := range []int{exportSection, startSection, elemSection, globalSection} {
		w.shiftReferences(id)
	}
	w.types = vector{1, []byte{typeForm, 1, typeI32, 1, typeI32}}
	imported := appendName(appendName(nil, ReservedModule), TickName)
	w.add(importSection, vector{1, appendU32(append(imported, kindFunc), tickType)})
	w.add(globalSection, vector{2, w.guardGlobals()})
	w.export(FuelExport, kindGlobal, fuel)
	w.export(DepthExport, kindGlobal, fuel+1)
	if w.content[codeSection] != nil {
		e := &emitter{w: w, graph: g, tick: w.m.imports(), fuel: fuel, stack: fuel + 1}
		w.content[codeSection] = e.section(bodies)
	}
	w.add(typeSection, w.types)
}

// blockType is the type of a block that gives results and takes nothing.
func (w *rewriter) blockType(results []byte) []byte {
	switch len(results) {
	case 0:
		return []byte{emptyBlock}
	case 1:
		return results
	}
	t, ok := w.blockTypes[string(results)]
	if !ok {
		t = uint32(len(w.m.types)) + w.types.n
		if w.blockTypes == nil {
			w.blockTypes = map[string]uint32{}
		}
		w.blockTypes[string(results)] = t
		w.types.n++
		w.types.bytes = appendName(append(w.types.bytes, typeForm, 0), string(results))
	}
	return appendSigned(nil, int32(t))
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
