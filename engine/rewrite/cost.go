package rewrite

// Work is counted in units of about a nanosecond. On every way through a
// function what is not charged yet stays small: where it becomes much a charge
// is put between two instructions, and what is left at the end of a round is
// charged at the header of the loop.
const (
	// workBytes is how many bytes of code make a unit of work.
	workBytes = 8
	// longestInstruction bounds what an instruction counts for: tables of labels
	// may be long.
	longestInstruction = 16
	// uncharged is how many bytes of code may run before a charge.
	uncharged = 2048
	// callWork is what a call is charged with beyond what the callee charges.
	callWork = 16
	// roundLimit is how much work a function with loops counts in a local before
	// it charges the fuel, seldom enough that charging costs nothing. A round is
	// less.
	roundLimit = 16384
	// bulkShift makes bytes or elements of a bulk operation work.
	bulkShift = 6
)

func work(bytes int) uint32 { return uint32(1 + bytes/workBytes) }

// looped tells whether a function counts its work in a local, and charges the
// rest when it returns.
func (b *body) looped() bool { return len(b.rounds) > 0 }

// spend adds an instruction to the cost of the way here. It tells whether there
// is a charge before the instruction.
func (s *scanner) spend() (charged bool) {
	if s.frames.dead {
		return false
	}
	if s.cost > uncharged {
		s.body.charges = append(s.body.charges, charge{s.at, work(s.cost)})
		s.cost, charged = 0, true
	}
	s.cost += min(s.pos-s.at, longestInstruction) + s.slow
	return charged
}
