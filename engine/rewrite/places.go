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
	held := map[place]uint32{}
	for _, s := range r.elementSegments() {
		if s.active && (s.byExpression() || !s.plain) {
			return nil
		}
		for _, e := range s.elements {
			held[place{s.table, e.index}] = e.function
		}
	}
	return held
}
