package rewrite

import (
	"cmp"
	"slices"
)

// capture takes the start function and the active data out of the module.
func (w *rewriter) capture() {
	if w.result.Uncaptured != "" {
		return
	}
	if f, ok := w.m.start(); ok {
		w.result.Start = StartExport
		w.export(StartExport, kindFunc, w.shift(f))
		w.content[startSection] = nil
	}
	w.dropData()
}

func (w *rewriter) uncapturable() string {
	if f, ok := w.m.start(); ok {
		if t := w.m.typeOf(f); len(t.params)+len(t.results) > 0 {
			return "the start function has parameters or results"
		}
	}
	if n := w.m.imported[kindMemory]; n > 0 {
		return "the memory is imported"
	}
	for i := range w.m.data {
		if reason := w.m.data[i].uncapturable(w.m.memories); reason != "" {
			return reason
		}
	}
	return ""
}

func (s *segment) uncapturable(memories []limits) string {
	switch {
	case s.passive:
		return ""
	case len(memories) != 1 || s.memory != 0:
		return "a data segment is not of the one memory"
	case !s.constant:
		return "the offset of a data segment is computed"
	case uint64(s.offset)+uint64(len(s.content)) > uint64(memories[0].min)*pageSize:
		return "a data segment exceeds the memory"
	}
	return ""
}

// dropData leaves the active segments out. Where instructions may name segments
// by index an empty passive one stands for each: that is what an active segment
// is after instantiation.
func (w *rewriter) dropData() {
	if w.content[dataSection] == nil {
		return
	}
	if w.content[dataCountSection] == nil && !slices.ContainsFunc(w.m.data, func(s segment) bool { return s.passive }) {
		w.content[dataSection] = nil
		return
	}
	const passive = 1
	out := appendU32(nil, uint32(len(w.m.data)))
	for _, s := range w.m.data {
		out = append(out, passive)
		if s.passive {
			out = appendName(out, string(s.content))
		} else {
			out = appendName(out, "")
		}
	}
	w.content[dataSection] = out
}

// nearby is how many zeros an image has between two segments rather than to
// begin a new one.
const nearby = 512

// image lays active segments over each other.
func image(data []segment) []Segment {
	active := data
	idle := func(s segment) bool { return s.passive || len(s.content) == 0 }
	if slices.ContainsFunc(data, idle) {
		active = slices.DeleteFunc(slices.Clone(data), idle)
	}
	parts := extents(active)
	last := 0 // most segments follow each other
	for i := range active {
		s := &active[i]
		if !parts[last].covers(s.offset) {
			last = partAt(parts, s.offset)
		}
		copy(parts[last].Data[s.offset-parts[last].Offset:], s.content)
	}
	return parts
}

func (s *Segment) covers(offset uint32) bool {
	return offset >= s.Offset && uint64(offset) < uint64(s.Offset)+uint64(len(s.Data))
}

// partAt is the part that covers an offset, which one does.
func partAt(parts []Segment, offset uint32) int {
	after, _ := slices.BinarySearchFunc(parts, offset, func(p Segment, offset uint32) int {
		if p.Offset <= offset {
			return -1
		}
		return 1
	})
	return after - 1
}

// extents are the ranges that segments cover, as zeros.
func extents(segments []segment) []Segment {
	type extent struct{ begin, end uint64 }
	covered := make([]extent, len(segments))
	sorted, last := true, uint64(0) // as compilers write them
	for i := range segments {
		begin := uint64(segments[i].offset)
		covered[i] = extent{begin, begin + uint64(len(segments[i].content))}
		sorted, last = sorted && begin >= last, begin
	}
	if !sorted {
		slices.SortFunc(covered, func(a, b extent) int { return cmp.Compare(a.begin, b.begin) })
	}
	var parts []Segment
	for i := 0; i < len(covered); {
		begin, end := covered[i].begin, covered[i].begin
		for ; i < len(covered) && covered[i].begin <= end+nearby; i++ {
			end = max(end, covered[i].end)
		}
		parts = append(parts, Segment{Offset: uint32(begin), Data: make([]byte, end-begin)})
	}
	return parts
}

// unresettable names the first thing that keeps an instance from being reset.
func (w *rewriter) unresettable() string {
	m := w.m
	switch {
	case m.imported[kindMemory] > 0:
		return "the memory is imported"
	case m.imported[kindTable] > 0:
		return "a table is imported"
	case len(m.memories) > 1:
		return "there are several memories"
	case w.found.tables: // by the guest; see lazyTables for what is written beside
		return "tables are written"
	case w.found.dropsWhatItReads(m.data):
		return "data segments are dropped"
	}
	for i, g := range m.globals {
		switch {
		case !g.mutable:
		case i < m.imported[kindGlobal]:
			return "a mutable global is imported"
		case !g.numeric():
			return "a mutable global holds no number"
		}
	}
	return ""
}

// dropsWhatItReads tells whether dropping a segment can be noticed. Dropping
// element segments cannot where no table is written. Active segments count too:
// not every engine drops them by itself.
func (f *findings) dropsWhatItReads(data []segment) bool {
	for i, s := range data {
		if len(s.content) > 0 && f.drops != nil && f.inits != nil && f.drops[i] && f.inits[i] {
			return true
		}
	}
	return false
}
