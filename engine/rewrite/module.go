package rewrite

// A module is what the rewriter knows of a binary: its index spaces, and where
// functions are named.
type module struct {
	sections []section
	base     []int // offsets of the sections' contents in the binary
	types    []funcType
	funcs    []uint32 // types, imported functions first
	globals  []globalType
	tables   int
	memories []limits

	importedFuncs, importedGlobals      int
	importedTables, importedMemories    int
	hasStart                            bool
	start                               uint32
	declared                            []bool // by function: outside of function bodies; ref.func may name it
	active                              []bool // by function: in a table from the start
	data                                []segment
	dataCount                           int // -1 without the section
	exports                             [][]byte
}

type funcType struct {
	params, results int
	key             string // equal for equal types
}

type globalType struct {
	kind    byte
	mutable bool
}

type segment struct {
	passive, constant bool
	memory, offset    uint32
	content           []byte
}
