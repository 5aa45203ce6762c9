package rewrite

import "sort"

// registers is how many values an engine keeps outside of a frame at once.
const registers = 12

// A frameModel estimates the native frame of a function. An engine gives a slot
// of the frame, for good, to every value that at some point no register is left
// for. The model is a file of registers in which reading or writing a local
// keeps it, a call clears all, and the beginning of a loop too: values from
// before a loop live through it. A value read when it is out of the file takes
// a slot; so do what lies below the arguments of a call on the operand stack,
// and the places where definitions of one local meet.
//
// It is an estimate: what depends on it is how deep calls may nest, nothing
// else. Compilers' code comes out at one to two times its real size.
type frameModel struct {
	recent  [registers]uint32 // locals, plus one, the last used first
	values  []value           // by local
	open    []openBlock
	exposed []exposure // locals read in open loops before they were written there
	visits  int        // of exposures
	height  int        // of the operand stack
	spilled int        // operands from the bottom that have slots
	slots   int
	args    int // the most values that calls take and give
	vectors bool
	dead    bool
}

type openBlock struct {
	pos   int // where it begins
	loops int // loops open around it
	loop  int // 1 if it is one

	loopPos int // where the innermost loop begins, itself included; 0 for none
	exposed int // exposures before it
}

// An exposure is a local that a loop reads as the round before left it.
type exposure struct {
	local   uint32
	written int
}

// A value is the present one of a local.
type value struct {
	pos, depth int // where it was written or met others, in how many blocks
	hasSlot    bool

	written int // where the local was written last
	exposed int // beginning of the last loop that it was found exposed in
}

func (f *frameModel) begin(locals uint32, vectors int) {
	if int(locals) > cap(f.values) {
		f.values = make([]value, locals)
	}
	f.values = f.values[:locals]
	clear(f.values)
	*f = frameModel{values: f.values, open: f.open[:0], exposed: f.exposed[:0], vectors: vectors > 0}
}

func (f *frameModel) adjust(effect int) {
	f.height += effect
	f.spilled = min(f.spilled, f.height)
	f.spill(f.height - registers)
}

// spill gives slots to the lowest operands.
func (f *frameModel) spill(operands int) {
	if operands > f.spilled && !f.dead {
		f.slots += operands - f.spilled
		f.spilled = operands
	}
}

// use puts a local first among the recent ones. It tells whether it was there.
func (f *frameModel) use(local uint32) bool {
	previous := local + 1
	for i := range f.recent {
		f.recent[i], previous = previous, f.recent[i]
		if previous == local+1 {
			return true
		}
	}
	return false
}

func (f *frameModel) set(local uint32, pos int) {
	f.use(local)
	v := &f.values[local]
	*v = value{pos: pos, depth: len(f.open), written: pos, exposed: v.exposed}
}

func (f *frameModel) get(local uint32, pos int) {
	if f.dead {
		return
	}
	f.expose(local)
	if !f.use(local) {
		f.miss(local, pos)
	}
}

// miss reads a value that is out of the file of registers.
func (f *frameModel) miss(local uint32, pos int) {
	v := &f.values[local]
	f.slots += f.meetings(v)
	if !v.hasSlot {
		f.slots++
	}
	v.pos, v.depth, v.hasSlot = pos, len(f.open), true
}

// expose remembers a local that the innermost loop reads before it writes it.
func (f *frameModel) expose(local uint32) {
	n := len(f.open)
	if n == 0 {
		return
	}
	v, begin := &f.values[local], f.open[n-1].loopPos
	if v.written < begin && v.exposed != begin {
		v.exposed = begin
		f.exposed = append(f.exposed, exposure{local, v.written})
	}
}

// closeLoop reads what the next round of a loop would read, if the loop has
// written it: there too values meet.
func (f *frameModel) closeLoop(b openBlock, pos int) {
	f.visits += len(f.exposed) - b.exposed
	if f.visits > maxVisits {
		f.slots = maxFrame / slotBytes
		return
	}
	for _, e := range f.exposed[b.exposed:] {
		if e.written < b.pos && f.values[e.local].written > b.pos {
			f.miss(e.local, pos)
		}
	}
}

// meetings bounds the places between the writing of a value and here where it
// meets others: ends of blocks that it was written in, and beginnings of loops.
func (f *frameModel) meetings(v *value) int {
	still := sort.Search(len(f.open), func(i int) bool { return f.open[i].pos > v.pos })
	n := max(v.depth-still, 0)
	if still < len(f.open) {
		top := f.open[len(f.open)-1]
		n += top.loops + top.loop - f.open[still].loops
	}
	return n
}

func (f *frameModel) call(params, results int) {
	f.adjust(-params)
	f.spill(f.height)
	f.adjust(results)
	f.args = max(f.args, params+results)
	f.forget()
}

func (f *frameModel) forget() { f.recent = [registers]uint32{} }

func (f *frameModel) opened(pos int, isLoop bool) {
	b := openBlock{pos: pos, exposed: len(f.exposed)}
	if n := len(f.open); n > 0 {
		b.loops = f.open[n-1].loops + f.open[n-1].loop
		b.loopPos = f.open[n-1].loopPos
	}
	if isLoop {
		b.loop, b.loopPos = 1, pos
		f.forget()
	}
	f.open = append(f.open, b)
}

func (f *frameModel) closed(pos int) {
	n := len(f.open)
	if n == 0 {
		return
	}
	b := f.open[n-1]
	f.open = f.open[:n-1]
	if b.loop == 1 {
		f.closeLoop(b, pos)
	}
}

// reset sets the operand stack to what it is when a block goes on.
func (f *frameModel) reset(height int, dead bool) {
	f.height, f.dead = height, dead
	f.spilled = min(f.spilled, height)
}

const (
	slotBytes  = 8
	fixedBytes = 64 // of a frame without slots
	maxFrame   = 1 << 27
	// maxVisits bounds the time that the model takes for hostile functions.
	maxVisits = 1 << 22
)

// bytes is the estimate.
func (f *frameModel) bytes() uint32 {
	n := min(f.slots+f.args, maxFrame/slotBytes)
	if f.vectors {
		n *= 2
	}
	return uint32(fixedBytes + slotBytes*n)
}
