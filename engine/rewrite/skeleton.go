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
	out, named := []byte(header), false
	for _, s := range sections {
		switch {
		case s.id == codeSection:
			s.content = trapBodies(s.content)
		case s.id == elemSection:
			s.content = undeclared(s.content)
		case s.id == customSection && (named || !isNames(s)):
			continue
		}
		named = named || s.id == customSection
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

// Plain gives a module without its custom sections: to some engines what is wrong in one
// makes the module invalid. One that has none, or is malformed, is given as it is.
func Plain(binary []byte) []byte {
	r := &reader{buf: binary, pos: len(header)}
	var out []byte
	kept := 0 // up to here the binary is in out, without what goes
	for r.left() > 0 {
		start := r.pos
		id := r.byte()
		r.bytes()
		if id == customSection {
			out = append(out, binary[kept:start]...)
			kept = r.pos
		}
	}
	if kept == 0 || r.err != nil {
		return binary
	}
	return append(out, binary[kept:]...)
}
