package rewrite

import "slices"

const (
	// fanOut is how many functions one function chooses among.
	fanOut = 64

	// inlineLooks is up to how many calls through tables of a function have the look
	// beside them. Each adds two blocks, and compilers' time grows with the square of
	// a function's blocks; more calls call a function for it, which costs time then.
	inlineLooks = 32
)

// add makes the functions that fill elements of a table:
//
//	fill: table[index] = find(index)
//	look: if table[index] is null: fill(index)
//	      index
func (l *lazyTables) add(table uint32, elements []element) {
	find := l.find(elements, 0, 1<<32)
	c := code{0}
	c.x(opLocalGet, 0)
	c.x(opLocalGet, 0)
	c.x(opCall, find)
	c.x(opTableSet, table)
	c.op(opEnd)
	t := lazyTable{index: table, fill: l.function(l.filler, c)}
	t.look = l.function(l.looker, t.lookBody())
	l.tables[table] = t
}

func (t lazyTable) lookBody() code {
	const index = 0
	c := code{0}
	c.x(opLocalGet, index)
	t.lookAt(&c, index)
	c.op(opEnd)
	return c
}

// lookAt has the element filled whose index is on top of the operand stack, and uses
// a local.
func (t lazyTable) lookAt(c *code, local uint32) {
	c.x(opLocalTee, local)
	c.x(opTableGet, t.index)
	c.op(opRefIsNull)
	c.op(opIf)
	*c = append(*c, emptyBlock)
	c.x(opLocalGet, local)
	c.x(opCall, t.fill)
	c.op(opEnd)
	c.x(opLocalGet, local)
}

// function adds one, and gives its index.
func (l *lazyTables) function(t uint32, body code) uint32 {
	l.funcs.append(appendU32(nil, t))
	l.code.append(appendName(nil, string(body)))
	l.next++
	return l.next - 1
}

// find makes a function that gives the one at an index of at least low and less than
// high, or null. None of the functions that it takes chooses among many.
func (l *lazyTables) find(elements []element, low, high uint64) uint32 {
	c := code{0}
	if len(elements) <= fanOut {
		c.choose(elements, func(i int) {
			from, to := low, high
			if i > 0 {
				from = uint64(elements[i].index)
			}
			if i+1 < len(elements) {
				to = uint64(elements[i+1].index)
			}
			c.give(elements[i], to-from == 1)
		})
	} else {
		groups, firsts := l.groups(elements, low, high)
		c.choose(firsts, func(i int) {
			c.x(opLocalGet, 0)
			c.x(opCall, groups[i])
		})
	}
	c.op(opEnd)
	return l.function(l.finder, c)
}

// groups makes as many functions as one chooses among, or less.
func (l *lazyTables) groups(elements []element, low, high uint64) (groups []uint32, firsts []element) {
	size := fanOut
	for size*fanOut < len(elements) {
		size *= fanOut
	}
	for group := range slices.Chunk(elements, size) {
		from, to := low, high
		if len(firsts) > 0 {
			from = uint64(group[0].index)
		}
		if rest := elements[len(firsts)*size+len(group):]; len(rest) > 0 {
			to = uint64(rest[0].index)
		}
		firsts = append(firsts, group[0])
		groups = append(groups, l.find(group, from, to))
	}
	return groups, firsts
}

// choose branches to the last of elements whose index is not above the parameter, or
// to the first. Branches nest as deep as the logarithm of how many there are.
func (c *code) choose(elements []element, give func(int)) {
	var among func(from, to int)
	among = func(from, to int) {
		if to-from == 1 {
			give(from)
			return
		}
		middle := (from + to) / 2
		c.x(opLocalGet, 0)
		c.constant(int32(elements[middle].index))
		c.op(opI32LtU)
		c.op(opIf)
		*c = append(*c, typeFuncRef)
		among(from, middle)
		c.op(opElse)
		among(middle, to)
		c.op(opEnd)
	}
	among(0, len(elements))
}

// give is the function of an element, or null if the parameter is another index.
func (c *code) give(e element, certain bool) {
	if certain {
		c.x(opRefFunc, e.function)
		return
	}
	c.x(opLocalGet, 0)
	c.constant(int32(e.index))
	c.op(opI32Eq)
	c.op(opIf)
	*c = append(*c, typeFuncRef)
	c.x(opRefFunc, e.function)
	c.op(opElse)
	*c = append(*c, byte(opRefNull), typeFuncRef)
	c.op(opEnd)
}

// lookUp has the element filled that is about to be called through.
func (e *emitter) lookUp() {
	if e.w.lazy == nil {
		return
	}
	table, lazy := e.w.lazy.tables[e.y]
	if !lazy {
		return
	}
	e.copyTo(e.at)
	if e.body.looksInline() {
		table.lookAt(&e.out, e.element)
	} else {
		e.out.x(opCall, table.look)
	}
}

func (b *body) looksInline() bool { return 0 < b.indirect && b.indirect <= inlineLooks }
