package rewrite

import "encoding/binary"

// Sample gives the original module with the code of some functions, while the others
// trap. It lacks the data, which needs no engine to be judged. As many processors as
// there are samples can validate a module at the same time.
func (p *Parts) Sample(functions []uint32) []byte {
	out := []byte(header)
	for _, id := range sectionOrder() {
		s := p.w.m.sections[id]
		switch {
		case s == nil:
		case id == codeSection:
			out = appendSection(out, id, p.sampleCode(functions))
		case id == dataSection:
			out = appendSection(out, id, p.w.content[id])
		default:
			out = appendSection(out, id, s.content)
		}
	}
	return out
}

// codeBytes is how much room functions take in a code section, at most.
func (p *Parts) codeBytes(functions []uint32) int {
	size := binary.MaxVarintLen32
	for _, n := range functions {
		size += binary.MaxVarintLen32 + p.CodeBytes(n)
	}
	return size
}

func (p *Parts) sampleCode(functions []uint32) []byte {
	size := len(trapBody)*int(p.Count()) + p.codeBytes(functions)
	out := appendU32(make([]byte, 0, size), p.Count())
	wanted := make([]bool, p.Count())
	for _, n := range functions {
		wanted[n] = true
	}
	for n, wanted := range wanted {
		if wanted {
			out = appendName(out, string(p.graph.bodies[n].buf))
		} else {
			out = append(out, trapBody...)
		}
	}
	return out
}
