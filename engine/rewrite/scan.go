package rewrite

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A body is what the first pass learns of a function.
type body struct {
	reader            // at the first instruction; the code with its locals
	groups     uint32 // of locals
	groupsFrom int    // where they begin
	locals     uint32 // parameters included
	results    []byte
	labelled   bool // some branch leaves the function as return does

	callees  []int32  // nodes of the graph, by call
	rounds   []uint32 // work of one round, by loop in the order of their headers
	charges  []charge // in between, in order
	edits    []uint32 // where the second pass has something to do: offsets, in order
	entry    uint32   // work of one call otherwise
	indirect uint32   // how many call_indirect there are
	frame    uint32   // estimate of the native frame, in bytes
	shape    Shape
	bulk     bool // has instructions whose time depends on an operand
	bound    bool // has instructions that only the module's own functions can have

	deep    bool // checks the stack; set by the graph
	scanned bool // all of this is known
	sound   bool // the function is valid; if not, that is for an engine to say
}

// unscanned is how many bytes the first pass has before it.
func (b *body) unscanned() int {
	if b.scanned {
		return 0
	}
	return len(b.buf)
}

// Shape tells functions apart by their instructions without what those name. What
// a compiler makes of one function is of one shape in all modules, nearly always.
type Shape uint64

func (s *Shape) add(op opcode) { *s = (*s ^ Shape(op)) * 0x9e3779b97f4a7c15 }

// heavy tells whether a function charges what it does at its entry. What others
// do is little and charged where they are called.
func (b *body) heavy() bool {
	return b.deep || len(b.rounds) > 0 || len(b.charges) > 0 || b.entry > callWork
}

// A charge is work that is charged before an instruction.
type charge struct {
	pos  int
	work uint32
}

// A scanner makes the first pass over function bodies. It is reused for all of
// a module.
type scanner struct {
	cursor
	graph   *graph
	found   findings
	frames  frameModel
	types   checker
	control []control
	cost    int      // bytes of code on the most expensive way here that no charge covers
	callees []int32  // of all functions
	edits   []uint32 // likewise
	body    *body
}

// control is an open block.
type control struct {
	op              opcode
	height          int // of the operand stack below its parameters
	params, results int
	dead            bool // begun in code that cannot be reached
	loop            int  // its index, of a loop
	begin           int  // cost at the beginning, of an if
	cost            int  // the highest at branches to its label
}

// findings are what function bodies do beyond computing, by which one can tell
// whether an instance can be reset.
type findings struct {
	tables  bool   // some table is written
	handled []bool // by table: something else is done with it than calling through it
	inits   []bool // by data segment: memory.init uses it
	drops   []bool // by data segment: data.drop drops it
	refs    []bool // by function: ref.func names it
}

func (f *findings) add(more *findings) {
	f.tables = f.tables || more.tables
	f.handled = either(f.handled, more.handled)
	f.inits, f.drops = either(f.inits, more.inits), either(f.drops, more.drops)
	f.refs = either(f.refs, more.refs)
}

// either has what is true of one or the other, of as many or nil.
func either(a, b []bool) []bool {
	if a == nil {
		return b
	}
	for i := range b {
		a[i] = a[i] || b[i]
	}
	return a
}

// scanCode makes the first pass over the code section, as far as a preview has not.
func (m *module) scanCode(g *graph, seen *Preview) ([]body, *findings, error) {
	bodies, unread := m.readBodies()
	found := seen.adopt(bodies)
	shares := m.shares(g, bodies)
	beside(shares, (*share).scanAll)
	for _, s := range shares {
		if s.err != nil {
			return nil, nil, s.err
		}
		found.add(&s.found)
	}
	m.taken = either(m.taken, found.refs)
	return bodies, &found, unread
}

// readBodies finds where bodies begin and end, as many as there are before an
// error.
func (m *module) readBodies() ([]body, error) {
	defined := m.funcs[m.imports():]
	r := m.reader(codeSection)
	if r == nil {
		r = &reader{buf: []byte{0}}
	}
	n := r.count("bodies", maxDefinitions)
	if int(n) != len(defined) {
		r.fail("%d bodies for %d functions", n, len(defined))
	}
	bodies := make([]body, 0, len(defined))
	for range defined {
		content := r.sized()
		if r.err != nil {
			break
		}
		bodies = append(bodies, body{reader: *content})
	}
	return bodies, r.failure()
}

// share is the bodies that one goroutine scans.
type share struct {
	scanner
	bodies []body
	first  uint32 // function that they begin with
}

const (
	// shareBytes is how much code it takes for another goroutine to pay.
	shareBytes = 128 << 10

	// processorShares is how many shares there are for a processor: none waits long for
	// another that is slower.
	processorShares = 4
)

// shares divides bodies among the processors that there are.
func (m *module) shares(g *graph, bodies []body) []*share {
	size := 0
	for i := range bodies {
		size += bodies[i].unscanned()
	}
	n := min(processorShares*runtime.GOMAXPROCS(0), 1+size/shareBytes)
	var shares []*share
	for begin := 0; begin < len(bodies); {
		end := begin
		for taken := 0; end < len(bodies) && taken <= size/n; end++ {
			taken += bodies[end].unscanned()
		}
		s := &share{bodies: bodies[begin:end], first: m.imports() + uint32(begin)}
		s.m, s.graph = m, g
		shares = append(shares, s)
		begin = end
	}
	return shares
}

// beside does something to each of all, side by side, and panics if one of them
// does.
func beside[T any](all []T, do func(T)) {
	var panics atomic.Pointer[any]
	var others sync.WaitGroup
	attempt := func(one T) {
		defer func() {
			if p := recover(); p != nil {
				panics.Store(&p)
			}
		}()
		do(one)
	}
	for i := range all {
		if i == len(all)-1 {
			attempt(all[i])
		} else {
			others.Go(func() { attempt(all[i]) })
		}
	}
	others.Wait()
	if p := panics.Load(); p != nil {
		panic(*p)
	}
}

func (s *share) scanAll() {
	for i := range s.bodies {
		if s.err != nil {
			return
		}
		if b := &s.bodies[i]; !b.scanned {
			s.scan(b, s.first+uint32(i))
		}
	}
}

// failure is the error as such, nil if there is none.
func (r *reader) failure() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

func (s *scanner) scan(b *body, function uint32) {
	t := s.m.typeOf(function)
	b.readLocals(t)
	s.begin(b, t)
	s.types.begin(s.m, function, b)
	for s.next() {
		s.instruction()
	}
	s.finishBody()
}

func (b *body) readLocals(t *funcType) {
	b.locals, b.results = uint32(len(t.params)), t.results
	b.groups = b.count("kinds of locals", maxLocals)
	b.groupsFrom = b.pos
	for range b.groups {
		b.locals += b.u32()
		b.valueType()
	}
}

func (s *scanner) begin(b *body, t *funcType) {
	s.reader, s.body, s.locals, s.depth = b.reader, b, b.locals, 1
	s.cost = 0
	s.control = append(s.control[:0], control{op: opBlock, results: len(t.results)})
	s.frames.begin(b.locals, wide(t.params)+wide(b.buf[b.groupsFrom:b.pos]))
	s.callees, s.edits = s.callees[len(s.callees):], s.edits[len(s.edits):]
}

// wide counts vectors among types, and a few other bytes by mistake.
func wide(types []byte) int {
	const v128 = 0x7b
	n := 0
	for _, t := range types {
		if t == v128 {
			n++
		}
	}
	return n
}

func (s *scanner) finishBody() {
	s.body.callees = slices.Clip(s.callees)
	s.body.edits = slices.Clip(s.edits)
	s.body.frame = s.frames.bytes()
	s.body.scanned = s.err == nil
	s.body.sound = s.body.scanned && !s.types.unsure
}

func (s *scanner) instruction() {
	padded := s.padded()
	if s.spend() || s.op.edited() || padded {
		s.edits = append(s.edits, uint32(s.at))
	}
	s.types.require(!padded)
	s.body.shape.add(s.op)
	if s.effect != 0 {
		s.frames.adjust(s.effect)
	}
	switch s.op {
	case opLocalGet:
		s.frames.get(s.x, s.at)
		s.types.push(s.types.locals[s.x])
	case opLocalSet:
		s.frames.set(s.x, s.at)
		s.types.pop(s.types.locals[s.x])
	case opLocalTee:
		s.frames.set(s.x, s.at)
		s.types.pop(s.types.locals[s.x])
		s.types.push(s.types.locals[s.x])
	case opI32Const:
		s.types.constant(typeI32, 32, s.pos-s.at-1, s.buf[s.pos-1])
	case opI64Const:
		s.types.constant(typeI64, 64, s.pos-s.at-1, s.buf[s.pos-1])
	case opBlock, opLoop, opIf:
		s.open()
	case opElse:
		s.otherwise()
	case opEnd:
		s.close()
	case opBr, opBrIf, opBrTable, opReturn, opUnreachable:
		s.branch()
	case opCall:
		s.call(s.graph.function(s.x), s.m.typeOf(s.x))
		s.types.call(s.m.typeOf(s.x))
	case opCallIndirect:
		s.body.indirect++
		s.call(s.graph.indirect(s.x), &s.m.types[s.x])
		s.types.callThrough(s.m.tables[s.y], &s.m.types[s.x])
	default:
		if of := signatureOf(s.op); of.known {
			s.types.plain(of, s.x)
		} else {
			s.uncommon()
		}
	}
}

func (s *scanner) open() {
	params, results := s.arity()
	b := control{
		op: s.op, params: params, results: results,
		height: s.frames.height - params, dead: s.frames.dead, begin: s.cost,
	}
	s.frames.opened(s.at, s.op == opLoop)
	s.types.open(&s.cursor)
	if s.op == opLoop {
		b.loop, b.cost, s.cost = len(s.body.rounds), s.cost, 0
		s.body.rounds = append(s.body.rounds, 0)
	}
	s.control = append(s.control, b)
}

func (s *scanner) otherwise() {
	top := &s.control[len(s.control)-1]
	if top.op != opIf {
		s.fail("else without if")
		return
	}
	s.types.otherwise()
	s.reach(top)
	top.op, s.cost = opElse, top.begin
	s.frames.reset(top.height+top.params, top.dead)
}

func (s *scanner) close() {
	top := s.control[len(s.control)-1]
	s.control = s.control[:len(s.control)-1]
	s.frames.closed(s.at)
	s.types.close()
	if top.op == opLoop {
		s.body.rounds[top.loop] = work(top.cost)
	} else {
		s.reach(&top)
		s.cost = top.cost
		if top.op == opIf {
			s.cost = max(s.cost, top.begin)
		}
	}
	s.frames.reset(top.height+top.results, top.dead)
	if len(s.control) == 0 {
		s.body.entry = work(top.cost)
	}
}

func (s *scanner) branch() {
	switch s.op {
	case opBr:
		s.branchTo(s.x)
		s.types.branch(s.x)
	case opBrIf:
		s.branchTo(s.x)
		s.types.branchIf(s.x)
	case opBrTable:
		for _, l := range s.targets {
			s.branchTo(l)
		}
		s.types.branchTable(s.targets)
	case opReturn:
		s.reach(&s.control[0])
		s.types.giveBack()
	case opUnreachable:
		s.types.diverge()
	}
	if s.op != opBrIf {
		s.frames.dead = true
	}
}

func (s *scanner) branchTo(l uint32) {
	if int(l) == len(s.control)-1 {
		s.body.labelled = true
	}
	s.reach(s.label(l))
}

func (s *scanner) label(l uint32) *control { return &s.control[len(s.control)-1-int(l)] }

// reach carries the cost to where control goes on.
func (s *scanner) reach(to *control) {
	if !s.frames.dead {
		to.cost = max(to.cost, s.cost)
	}
}

func (s *scanner) call(node int32, t *funcType) {
	s.callees = append(s.callees, node)
	s.cost += callWork * workBytes
	s.frames.call(len(t.params), len(t.results))
}

func (s *scanner) uncommon() {
	switch s.op {
	case opNop:
		return
	case opGlobalGet:
		s.types.push(s.m.globals[s.x].kind)
		return
	case opGlobalSet:
		s.types.setGlobal(s.m.globals[s.x])
		return
	case opDrop:
		s.types.drop()
		return
	case opSelect:
		s.types.choose()
		return
	case opMemoryFill:
		s.body.bulk = true
		s.types.bulk(s.x)
		return
	case opMemoryCopy:
		s.body.bulk = true
		s.types.bulk(s.x | s.y)
		return
	}
	s.types.unsure = true
	s.rare()
}

// rare is for what the checker does not know.
func (s *scanner) rare() {
	switch s.op {
	case opRefFunc:
		s.body.bound = true
		s.refFunc()
	case opMemoryInit:
		s.body.bulk, s.body.bound = true, true
		s.mark(&s.found.inits)
	case opDataDrop:
		s.body.bound = true
		s.mark(&s.found.drops)
	case opElemDrop:
		s.body.bound = true
	case opTableGet, opTableSize:
		s.handle(s.x)
	case opTableSet:
		s.found.tables = true
		s.handle(s.x)
	case opTableInit, opTableCopy, opTableGrow, opTableFill:
		s.body.bulk, s.found.tables = true, true
		s.body.bound = s.body.bound || s.op == opTableInit
		s.bulkOfTables()
	default:
		if s.op>>8 == prefixVector {
			s.frames.vectors = true
		}
	}
}

// refFunc lets a body name what the module names outside of bodies, as the
// specification asks for: exporting the start function must not make it
// nameable.
func (s *scanner) refFunc() {
	if !s.m.declared[s.x] {
		s.fail("undeclared reference to function %d", s.x)
	}
	if s.found.refs == nil {
		s.found.refs = make([]bool, len(s.m.funcs))
	}
	s.found.refs[s.x] = true
}

func (s *scanner) bulkOfTables() {
	if s.op != opTableInit {
		s.handle(s.x)
	}
	if s.op == opTableInit || s.op == opTableCopy {
		s.handle(s.y)
	}
}

// handle notes that something is done with a table.
func (s *scanner) handle(table uint32) {
	if s.found.handled == nil {
		s.found.handled = make([]bool, len(s.m.tables))
	}
	s.found.handled[table] = true
}

func (s *scanner) mark(segments *[]bool) {
	if int(s.x) >= len(s.m.data) {
		s.fail("data segment %d of %d", s.x, len(s.m.data))
		return
	}
	if *segments == nil {
		*segments = make([]bool, len(s.m.data))
	}
	(*segments)[s.x] = true
}
