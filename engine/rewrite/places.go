package rewrite

// A place is an element of a table.
type place struct{ table, index uint32 }

// placesByFunction lists where segments put functions, nil where only the engine
// knows.
func (m *module) placesByFunction() map[uint32][]place {
	held, order := m.heldInTables()
	places := make(map[uint32][]place, len(held))
	for _, at := range order {
		f := held[at]
		if len(places[f]) < partPlaces { // the frame asks for it at others
			places[f] = append(places[f], at)
		}
	}
	return places
}

// heldInTables is what active segments of functions make of tables, the last
// having the last word, and the order in which they come to places first.
func (m *module) heldInTables() (held map[place]uint32, order []place) {
	r := m.reader(elemSection)
	if r == nil {
		return nil, nil
	}
	held = map[place]uint32{}
	for _, s := range r.elementSegments() {
		if s.active && (s.byExpression() || !s.plain) {
			return nil, nil
		}
		for _, e := range s.elements {
			at := place{s.table, e.index}
			if _, ok := held[at]; !ok {
				order = append(order, at)
			}
			held[at] = e.function
		}
	}
	return held, order
}
