package rewrite

// A place is an element of a table.
type place struct{ table, index uint32 }

// placesByFunction lists where segments put functions, nil where only the engine
// knows.
func (m *module) placesByFunction() map[uint32][]place {
	held := m.heldInTables()
	places := make(map[uint32][]place, len(held))
	for at, f := range held {
		if len(places[f]) < partPlaces { // the frame asks for it at others
			places[f] = append(places[f], at)
		}
	}
	return places
}

// heldInTables is what active segments of functions make of tables, the last
// having the last word.
func (m *module) heldInTables() map[place]uint32 {
	r := m.reader(elemSection)
	if r == nil {
		return nil
	}
	r.seen = new(seen)
	held := map[place]uint32{}
	for range r.u32() {
		if !r.elements(held) {
			return nil
		}
	}
	return held
}

// elements reads a segment, and tells whether it is known what it does.
func (r *reader) elements(held map[place]uint32) bool {
	start, form := r.pos, r.u32()
	if passive := form&1 != 0; passive {
		r.pos = start
		r.elemSegment()
		return true
	}
	var at place
	if form == 2 {
		at.table = r.u32()
	}
	offset, known := r.constant()
	if form == 2 {
		r.elemKind(false)
	}
	if form > 2 || !known {
		return false
	}
	for i := range r.u32() {
		at.index = offset + i
		held[at] = r.u32()
	}
	return true
}
