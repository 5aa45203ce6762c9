package rewrite

// An emitter makes the second pass over function bodies, which visits only the
// instructions that the first has marked.
type emitter struct {
	cursor
	w                 *rewriter
	graph             *graph
	types             *addedTypes
	part              *part  // nil for code that stays in the module
	tick, fuel, stack uint32 // indices of the function and the globals

	body   *body
	out    code
	copied int      // the bytes of the body before are in out
	extra  []uint32 // by open block: labels added from the outermost block to it
	loop   int      // next header
	called int      // calls so far
	charge int      // next charge

	// The guard's own locals.
	round   uint32 // work that loops did since they last charged it
	left    uint32 // stack left below this function's frame
	size    uint32 // of a bulk operation
	element uint32 // index of the element that is called through
	own     uint32 // how many they are
}

func newEmitter(w *rewriter, g *graph, types *addedTypes) *emitter {
	fuel := uint32(len(w.m.globals))
	return &emitter{cursor: cursor{m: w.m}, w: w, graph: g, types: types, fuel: fuel, stack: fuel + 1}
}

func (e *emitter) section() []byte {
	bodies, total := e.graph.bodies, 0
	for i := range bodies {
		if e.w.stays(&bodies[i]) {
			total += len(bodies[i].buf)
		}
	}
	section := appendU32(make([]byte, 0, total+total/4), uint32(len(bodies)))
	for i := range bodies {
		if e.w.stays(&bodies[i]) {
			e.function(&bodies[i])
		} else {
			e.stub(uint32(i))
			e.w.parts.LeftOut += len(bodies[i].buf)
		}
		section = appendU32(section, uint32(len(e.out)))
		section = append(section, e.out...)
	}
	return section
}

func (e *emitter) function(b *body) {
	e.reader, e.locals, e.depth = b.reader, b.locals, 1
	e.body, e.copied, e.loop, e.called = b, b.pos, 0, 0
	e.charge, e.extra = 0, append(e.extra[:0], 0)
	e.out = e.out[:0]
	e.declare()
	e.entry()
	for _, at := range b.edits {
		e.pos = int(at)
		e.next()
		e.chargeBetween()
		e.instruction()
	}
	e.copyTo(len(b.buf))
}

// declare writes the locals, the guard's own after the others.
func (e *emitter) declare() {
	b := e.body
	e.own = 0
	e.round = e.newLocal(b.heavy())
	e.left = e.newLocal(b.deep)
	e.size = e.newLocal(b.bulk)
	e.element = e.newLocal(b.looksInline() && e.w.lazy != nil)
	groups := b.buf[b.groupsFrom:b.pos]
	if e.own == 0 {
		e.out.index(b.groups)
		e.out = append(e.out, groups...)
		return
	}
	e.out.index(b.groups + 1)
	e.out = append(e.out, groups...)
	e.out.index(e.own)
	e.out = append(e.out, typeI32)
}

func (e *emitter) newLocal(needed bool) uint32 {
	if !needed {
		return 0
	}
	e.own++
	return e.body.locals + e.own - 1
}

func (e *emitter) instruction() {
	switch e.op {
	case opLoop:
		e.beginLoop()
	case opBlock, opIf:
		e.extra = append(e.extra, e.extra[len(e.extra)-1])
	case opEnd:
		e.end()
	case opBr, opBrIf:
		e.replace(1, e.label(e.x))
	case opBrTable:
		e.branchTable()
	case opReturn:
		e.exit()
	case opCall:
		e.publish()
		e.call()
	case opCallIndirect:
		e.publish()
		e.lookUp()
	case opRefFunc:
		e.replace(1, e.w.reference(e.x))
	case opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy, opTableGrow, opTableFill:
		e.bulk()
	}
	if e.padded() {
		e.shorten()
	}
}

// shorten writes an opcode as short as it can be.
func (e *emitter) shorten() {
	e.copyTo(e.at)
	e.out = append(e.out, prefixMisc, byte(e.op))
	immediates := e.reader
	immediates.pos = e.at + 1
	immediates.u32()
	e.copied = immediates.pos
}

// copyTo copies what has not been copied up to an offset.
func (e *emitter) copyTo(pos int) {
	e.out = append(e.out, e.buf[e.copied:pos]...)
	e.copied = pos
}

// replace writes the instruction, an opcode of so many bytes, with another index.
func (e *emitter) replace(opcodeBytes int, index uint32) {
	e.copyTo(e.at + opcodeBytes)
	e.out.index(index)
	e.copied = e.pos
}

// label is what a label has become. That of a loop is the inner one of its two.
func (e *emitter) label(l uint32) uint32 {
	top := len(e.extra) - 1
	return l + e.extra[top] - e.extra[top-int(l)]
}

func (e *emitter) branchTable() {
	e.copyTo(e.at + 1)
	e.out.index(uint32(len(e.targets) - 1))
	for _, l := range e.targets {
		e.out.index(e.label(l))
	}
	e.copied = e.pos
}

// entry looks whether there is fuel, and takes the function's frame from the
// stack that is left. One branch serves both. A function without loops charges
// its work at once; one with loops counts it and charges the rest where it
// returns. Branches out of the function lead there by a block around its body.
func (e *emitter) entry() {
	b := e.body
	if !b.heavy() {
		return
	}
	e.out.x(opGlobalGet, e.fuel)
	if !b.looped() {
		e.out.constant(int32(b.entry))
		e.spend(e.round)
	}
	remaining := e.zero
	if b.deep {
		e.out.x(opGlobalGet, e.stack)
		e.out.constant(int32(b.frame))
		e.out.op(opI32Sub)
		e.out.x(opLocalTee, e.left)
		e.out.op(opI32Or)
		remaining = func() { e.out.x(opLocalGet, e.left) }
	}
	e.tickIfNegative(remaining)
	if b.looped() {
		e.out.constant(int32(b.entry))
		e.out.x(opLocalSet, e.round)
	}
	if b.looped() && b.labelled {
		e.out.op(opBlock)
		e.out = append(e.out, e.types.block(b.results)...)
	}
}

func (e *emitter) exit() {
	if e.body.looped() {
		e.copyTo(e.at)
		e.chargeRest()
	}
}

// chargeRest charges what is left to charge when a function with loops returns.
func (e *emitter) chargeRest() {
	e.out.x(opGlobalGet, e.fuel)
	e.out.x(opLocalGet, e.round)
	e.out.op(opI32Sub)
	e.out.x(opGlobalSet, e.fuel)
}

// spend takes the amount on the operand stack from the fuel below it. The rest
// stays there, and in a local.
func (e *emitter) spend(local uint32) {
	e.out.op(opI32Sub)
	e.out.x(opLocalTee, local)
	e.out.x(opGlobalSet, e.fuel)
	e.out.x(opLocalGet, local)
}

// tickIfNegative asks the host for more fuel if what is on the operand stack is
// below zero.
func (e *emitter) tickIfNegative(remaining func()) {
	e.out.constant(0)
	e.out.op(opI32LtS)
	e.out.op(opIf)
	e.out = append(e.out, emptyBlock)
	remaining()
	e.out.x(opCall, e.tick)
	e.out.x(opGlobalSet, e.fuel)
	e.out.op(opEnd)
}

func (e *emitter) zero() { e.out.constant(0) }

// Labels that a loop has beyond its own.
const (
	labelsNested = 1
	labelsApart  = 3
)

// beginLoop makes two loops of one, so that the call of tick, before which an
// engine saves its registers, stays out of the loop that runs:
//
//	block
//	  loop
//	    block
//	      loop
//	        round += weight
//	        br_if round > limit to the end of the block
//	        …
//	      end
//	      br to the end of all
//	    end
//	    charge round
//	    br to the outer loop
//	  end
//	end
func (e *emitter) beginLoop() {
	if params, _ := e.arity(); params > 0 {
		e.beginNested()
		return
	}
	blockType := e.buf[e.at+1 : e.pos]
	e.copyTo(e.at)
	e.out.op(opBlock)
	e.out = append(e.out, blockType...)
	e.out.op(opLoop)
	e.out = append(e.out, blockType...)
	e.out.op(opBlock)
	e.out = append(e.out, emptyBlock)
	e.header(labelsApart)
}

// endApart closes a loop that beginLoop began.
func (e *emitter) endApart() {
	const outerLoop, all = 0, 2
	e.out.x(opBr, all)
	e.out.op(opEnd)
	e.chargeRound()
	e.out.x(opBr, outerLoop)
	e.out.op(opEnd)
	e.out.op(opUnreachable)
	e.out.op(opEnd)
}

// beginNested is the same for a loop with parameters, which a block around it
// would hide. It charges at the outer header:
//
//	loop
//	  if round > limit: charge round
//	  loop
//	    round += weight
//	    br_if round > limit to the outer loop
//	    …
func (e *emitter) beginNested() {
	e.copyTo(e.pos)
	e.roundExceeded()
	e.out.op(opIf)
	e.out = append(e.out, emptyBlock)
	e.chargeRound()
	e.out.op(opEnd)
	e.header(labelsNested)
}

// header writes the beginning of the inner loop.
func (e *emitter) header(extraLabels uint32) {
	const leave = 1
	e.out = append(e.out, e.buf[e.at:e.pos]...)
	e.copied = e.pos
	e.out.x(opLocalGet, e.round)
	e.out.constant(int32(e.body.rounds[e.loop]))
	e.out.op(opI32Add)
	e.out.x(opLocalSet, e.round)
	e.roundExceeded()
	e.out.x(opBrIf, leave)
	e.loop++
	e.extra = append(e.extra, e.extra[len(e.extra)-1]+extraLabels)
}

func (e *emitter) roundExceeded() {
	e.out.x(opLocalGet, e.round)
	e.out.constant(roundLimit)
	e.out.op(opI32GtU)
}

func (e *emitter) chargeRound() {
	e.out.x(opGlobalGet, e.fuel)
	e.out.x(opLocalGet, e.round)
	e.spend(e.round)
	e.tickIfNegative(e.zero)
	e.out.constant(0)
	e.out.x(opLocalSet, e.round)
}

// chargeBetween charges work on the way through a function. The next header or entry looks at it.
func (e *emitter) chargeBetween() {
	b := e.body
	if e.charge == len(b.charges) || b.charges[e.charge].pos != e.at {
		return
	}
	amount := int32(b.charges[e.charge].work)
	e.charge++
	e.copyTo(e.at)
	if b.looped() {
		e.out.x(opLocalGet, e.round)
		e.out.constant(amount)
		e.out.op(opI32Add)
		e.out.x(opLocalSet, e.round)
		return
	}
	e.out.x(opGlobalGet, e.fuel)
	e.out.constant(amount)
	e.out.op(opI32Sub)
	e.out.x(opGlobalSet, e.fuel)
}

// end closes a block, and all of what a loop has become.
func (e *emitter) end() {
	top := len(e.extra) - 1
	if top > 0 {
		switch e.extra[top] - e.extra[top-1] {
		case labelsNested:
			e.copyTo(e.pos)
			e.out.op(opEnd)
		case labelsApart:
			e.copyTo(e.pos)
			e.endApart()
		}
	} else if e.body.looped() {
		e.copyTo(e.at)
		if e.body.labelled {
			e.out.op(opEnd)
		}
		e.chargeRest()
	}
	e.extra = e.extra[:top]
}

// publish leaves the stack that is left where a callee that checks it looks.
// Nobody restores it afterwards: whoever calls publishes first.
func (e *emitter) publish() {
	callee := e.body.callees[e.called]
	e.called++
	if !e.graph.nodes[callee].deep {
		return
	}
	e.copyTo(e.at)
	e.out.x(opLocalGet, e.left)
	e.out.x(opGlobalSet, e.stack)
}

// bulk charges an operation on memory or a table by its size, which is on top of
// the operand stack.
func (e *emitter) bulk() {
	e.copyTo(e.at)
	e.out.x(opLocalTee, e.size)
	e.out.x(opGlobalGet, e.fuel)
	e.out.x(opLocalGet, e.size)
	e.out.constant(bulkShift)
	e.out.op(opI32ShrU)
	e.spend(e.size)
	e.tickIfNegative(e.zero)
}

// code is instructions in the making.
type code []byte

func (c *code) op(op opcode) { *c = append(*c, byte(op)) }

func (c *code) index(x uint32) { *c = appendU32(*c, x) }

func (c *code) x(op opcode, x uint32) {
	c.op(op)
	c.index(x)
}

func (c *code) constant(v int32) {
	c.op(opI32Const)
	*c = appendSigned(*c, v)
}

func appendSigned(b []byte, v int32) []byte {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
