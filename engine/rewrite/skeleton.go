package rewrite

import "bytes"

// skeletonSection names the custom section that tells skeletons apart.
const skeletonSection = ReservedModule + ".skeleton"

// trapBody is the shortest body that is valid for every type of function: its
// size, no locals, unreachable, end.
const trapBody = "\x03\x00\x00\x0b"

// Skeleton gives a module that is binary in everything but the code: each
// function is there, and traps, and none is declared for code to refer to. The id,
// in a custom section, keeps the skeletons of different binaries different. Names of
// functions stay, other custom sections are dropped. The error is a [*FormatError] if
// the binary is malformed.
func Skeleton(binary, id []byte) ([]byte, error) {
	sections, err := split(binary)
	if err != nil {
		return nil, err
	}
	out := []byte(header)
	for _, s := range sections {
		switch {
		case s.id == codeSection:
			s.content = trapBodies(s.content)
		case s.id == elemSection:
			s.content = undeclared(s.content)
		case s.id == customSection && !isNames(s):
			continue
		}
		out = appendSection(out, int(s.id), s.content)
	}
	return appendSection(out, customSection, append(appendName(nil, skeletonSection), id...)), nil
}

// trapBodies is a code section of as many functions.
func trapBodies(code []byte) []byte {
	n := (&reader{buf: code}).u32()
	return append(appendU32(nil, n), bytes.Repeat([]byte(trapBody), int(n))...)
}

// undeclared is an element section whose segments that only declare functions are empty.
func undeclared(elements []byte) []byte {
	r := &reader{buf: elements, seen: new(seen)}
	out := appendU32(nil, r.u32())
	for r.left() > 0 {
		start := r.pos
		form := r.u32()
		const declares, byExpression = 3, 4
		if form&declares != declares {
			r.pos = start
			r.elemSegment()
			out = append(out, elements[start:r.pos]...)
			continue
		}
		r.elemKind(form&byExpression != 0)
		out = append(append(out, elements[start:r.pos]...), 0)
		r.pos = start
		r.elemSegment()
	}
	return out
}

func isNames(s section) bool { return string((&reader{buf: s.content}).name()) == "name" }
