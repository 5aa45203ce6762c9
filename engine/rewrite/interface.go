package rewrite

// Interface is what a module wants from its host and what it offers, for
// engines that do not tell, or not safely.
type Interface struct {
	Imports []Import
	Exports []Export
}

// Import is anything that a module imports.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType // of a function
}

// Export is anything that a module exports.
type Export struct {
	Name string
	Kind Kind
	Type FuncType // of a function
}

// Kind tells imports and exports apart, encoded as in a binary.
type Kind byte

// The kinds of imports and exports.
const (
	KindFunc   Kind = kindFunc
	KindTable  Kind = kindTable
	KindMemory Kind = kindMemory
	KindGlobal Kind = kindGlobal
)

// FuncType is the signature of a function, its types encoded as in a binary.
type FuncType struct {
	Params, Results []byte
}

// InterfaceOf reads the interface of a binary. The errors are those of [Rewrite].
func InterfaceOf(binary []byte) (Interface, error) {
	m, err := decode(binary)
	if err != nil {
		return Interface{}, typed(err)
	}
	return Interface{Imports: m.importList(), Exports: m.exportList()}, nil
}

// importList and exportList read sections that are known to be in order.
func (m *module) importList() (list []Import) {
	r, funcs := m.reader(importSection), uint32(0)
	if r == nil {
		return nil
	}
	r.seen = new(seen)
	r.vector("imports", maxDefinitions, func() {
		i := Import{Module: string(r.name()), Name: string(r.name())}
		start := r.pos
		i.Kind = Kind(r.byte())
		if i.Kind == KindFunc {
			i.Type = m.funcType(funcs)
			funcs++
		}
		r.pos = start
		r.importedItem()
		list = append(list, i)
	})
	return list
}

func (m *module) exportList() (list []Export) {
	r := m.reader(exportSection)
	if r == nil {
		return nil
	}
	r.vector("exports", maxDefinitions, func() {
		x := Export{Name: string(r.name()), Kind: Kind(r.byte())}
		index := r.u32()
		if x.Kind == KindFunc && int(index) < len(m.funcs) {
			x.Type = m.funcType(index)
		}
		list = append(list, x)
	})
	return list
}

func (m *module) funcType(f uint32) FuncType {
	t := m.typeOf(f)
	return FuncType{Params: t.params, Results: t.results}
}
