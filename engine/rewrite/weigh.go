package rewrite

import (
	"math"
	"time"
)

// Weigh bounds the processor time that compiling a binary, rewritten, may take,
// from its structure: without knowing a compiler's passes, but with factors that
// were measured on modules made to be as slow to compile as possible for their
// size. Ordinary code takes far less. Weighing itself is linear and takes some
// 10 µs for a KB.
//
// The factors are those of wazero's compiler on one core. Nested loops around
// many locals weigh most: at each header every local may meet a value from each
// level, and 4 KB of them compile for 10 s.
func Weigh(binary []byte) (time.Duration, error) {
	m, err := decode(binary)
	if err != nil {
		return 0, typed(err)
	}
	w := weigher{total: m.entryWeight()}
	w.m = m
	if err := w.code(); err != nil {
		return 0, typed(err)
	}
	return time.Duration(min(w.total, math.MaxInt64/2)), nil
}

// fillValues are the instructions before a call through a table that is filled then.
const fillValues = 8

// Factors of a weight, in nanoseconds.
const (
	weightOfModule  = 50_000
	weightOfFunc    = 20_000 // also of a type, which has entry points of its own
	weightOfLocal   = 200
	weightOfValue   = 1000
	weightOfLive    = 500    // of a value that may be alive at an edge between blocks
	weightOfElement = 20_000 // of a table that is filled when it is called through
	weightOfPassed  = 5      // of a local at an edge, and of a pair of those in nested loops
)

// entryWeight is that of what surrounds functions.
func (m *module) entryWeight() float64 {
	total := float64(weightOfModule)
	for _, t := range m.types {
		total += weightOfFunc + weightOfValue*float64(len(t.params)+len(t.results))
	}
	total += weightOfFunc * float64(m.imports())
	if s := m.sections[elemSection]; s != nil && len(s.refs) >= ManyElements {
		total += weightOfElement * float64(min(len(s.refs), mostLazy))
	}
	return total
}

// A weigher walks over function bodies, one after the other.
type weigher struct {
	cursor
	total float64

	blocks   []opcode // open ones
	loops    int      // among them
	deepest  int      // most loops at once
	values   int      // made or passed on
	edges    int      // between blocks
	indirect int      // calls through tables
	width    int      // most values that a block or the function takes and gives
}

func (w *weigher) code() error {
	r := w.m.reader(codeSection)
	if r == nil {
		return nil
	}
	defined := w.m.funcs[w.m.imports():]
	n := r.count("bodies", maxDefinitions)
	if int(n) != len(defined) {
		r.fail("%d bodies for %d functions", n, len(defined))
	}
	for i := range defined {
		if r.err != nil {
			break
		}
		w.function(r, w.m.typeOf(w.m.imports()+uint32(i)))
	}
	return r.failure()
}

func (w *weigher) function(r *reader, t *funcType) {
	b := body{reader: *r.sized()}
	b.readLocals(t)
	w.reader, w.locals, w.depth = b.reader, b.locals, 1
	w.blocks, w.loops, w.deepest = append(w.blocks[:0], opBlock), 0, 0
	w.width = len(t.params) + len(t.results)
	w.values, w.edges, w.indirect = w.width, 1, 0
	for w.next() {
		w.instruction()
	}
	r.adopt(&w.reader)
	w.total += w.weight()
}

func (w *weigher) weight() float64 {
	values, edges, locals := float64(w.values), float64(w.edges), float64(w.locals)
	nested := float64(w.deepest) * (locals + float64(w.width))
	return weightOfFunc + weightOfLocal*locals + weightOfValue*values +
		weightOfLive*edges*values + weightOfPassed*(edges*locals+nested*nested)
}

func (w *weigher) instruction() {
	w.values++
	switch w.op {
	case opBlock, opLoop, opIf:
		params, results := w.arity()
		w.width = max(w.width, params+results)
		w.values += params + results
		w.edges++
		w.open()
	case opEnd:
		w.edges++
		w.close()
	case opElse, opBr, opBrIf, opReturn, opUnreachable:
		w.edges++
		w.values += w.width
	case opBrTable:
		w.edges += len(w.targets)
		w.values += (1 + w.width) * len(w.targets)
	case opCall:
		w.call(w.m.typeOf(w.x))
	case opCallIndirect:
		w.lookUp()
		w.call(&w.m.types[w.x])
	}
}

// lookUp is what comes before a call through a table that is filled then.
func (w *weigher) lookUp() {
	w.values += fillValues
	w.indirect++
	if w.indirect <= inlineLooks {
		w.edges++
	}
}

func (w *weigher) open() {
	w.blocks = append(w.blocks, w.op)
	if w.op == opLoop {
		w.loops++
		w.deepest = max(w.deepest, w.loops)
	}
}

func (w *weigher) close() {
	last := len(w.blocks) - 1
	if w.blocks[last] == opLoop {
		w.loops--
	}
	w.blocks = w.blocks[:last]
}

func (w *weigher) call(t *funcType) { w.values += len(t.params) + len(t.results) }
