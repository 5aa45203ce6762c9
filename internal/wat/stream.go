package wat

import (
	"fmt"
	"strconv"
)

// A stream is what is left to read of a list. What it cannot give is reported
// to the module, which keeps the first fault; the reader may go on with the
// zero value.
type stream struct {
	nodes []node
	end   int // where the list ends, for reports of what is missing
	m     *module
}

func (s *stream) inside(n node) *stream {
	return &stream{nodes: n.nodes, end: n.end, m: s.m}
}

// fail reports a fault at the next node.
func (s *stream) fail(format string, args ...any) {
	pos := s.end
	if s.more() {
		pos = s.nodes[0].pos
	}
	s.m.fail(pos, format, args...)
}

func (s *stream) more() bool { return len(s.nodes) > 0 }

// peek is the next node; its kind is eof if there is none.
func (s *stream) peek() node {
	if !s.more() {
		return node{pos: s.end}
	}
	return s.nodes[0]
}

func (s *stream) next() node {
	n := s.peek()
	if s.more() {
		s.nodes = s.nodes[1:]
	}
	return n
}

// finish reports what nobody has read.
func (s *stream) finish() {
	if s.more() {
		s.fail("unexpected %s", s.peek())
	}
}

// keyword takes the next node if it is this word.
func (s *stream) keyword(w string) bool {
	if n := s.peek(); n.kind != word || n.text != w {
		return false
	}
	s.next()
	return true
}

// head takes the word that a list begins with.
func (s *stream) head() string {
	if s.peek().kind != word {
		s.fail("expected a keyword, got %s", s.peek())
	}
	return s.next().text
}

// is tells whether the node is a list that begins with this word.
func (n node) is(w string) bool {
	return n.kind == list && len(n.nodes) > 0 && n.nodes[0].kind == word && n.nodes[0].text == w
}

// list takes the next node if it is a list that begins with this word, and
// gives the rest of that list.
func (s *stream) list(w string) (*stream, bool) {
	if !s.peek().is(w) {
		return nil, false
	}
	inner := s.inside(s.next())
	inner.next()
	return inner, true
}

// has tells whether any node ahead is a list that begins with this word.
func (s *stream) has(w string) bool {
	for _, n := range s.nodes {
		if n.is(w) {
			return true
		}
	}
	return false
}

// id takes the next node if it is an identifier; else it gives "".
func (s *stream) id() string {
	n := s.peek()
	if n.kind != word || n.text[0] != '$' {
		return ""
	}
	if len(n.text) == 1 {
		s.fail("empty identifier")
	}
	return s.next().text
}

// str takes the next node, which must be a string.
func (s *stream) str() string {
	if s.peek().kind != text {
		s.fail("expected a string, got %s", s.peek())
	}
	return s.next().text
}

// strings takes the rest, which must be strings, as one.
func (s *stream) strings() string {
	var all []byte
	for s.more() {
		all = append(all, s.str()...)
	}
	return string(all)
}

// isIndex tells whether an index is next, by number or by identifier.
func (s *stream) isIndex() bool {
	n := s.peek()
	return n.kind == word && (n.text[0] == '$' || n.text[0] >= '0' && n.text[0] <= '9')
}

func (s *stream) u32() uint32 {
	v, ok := parseUint(s.peek().text, 32)
	if !ok || s.peek().kind != word {
		s.fail("expected a number of 32 bits, got %s", s.peek())
	}
	s.next()
	return uint32(v)
}

// index takes an index of that space. A number is taken as it is.
func (s *stream) index(of *space) uint32 {
	if n := s.peek(); n.kind != word || n.text[0] != '$' {
		return s.u32()
	}
	i, ok := of.ids[s.peek().text]
	if !ok {
		s.fail("unknown %s %s", of.what, s.peek().text)
	}
	s.next()
	return i
}

// indexOr0 takes an index if one is next.
func (s *stream) indexOr0(of *space) uint32 {
	if !s.isIndex() {
		return 0
	}
	return s.index(of)
}

// valueTypes takes the rest, which must be value types.
func (s *stream) valueTypes() []byte {
	var types []byte
	for s.more() {
		types = append(types, s.valueType())
	}
	return types
}

func (s *stream) valueType() byte {
	types := map[string]byte{
		"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c, "v128": 0x7b,
		"funcref": 0x70, "externref": 0x6f,
	}
	t, ok := types[s.peek().text]
	if !ok || s.peek().kind != word {
		s.fail("expected a value type, got %s", s.peek())
	}
	s.next()
	return t
}

// refType takes a reference type if one is next; else it gives 0.
func (s *stream) refType() byte {
	switch {
	case s.keyword("funcref"):
		return 0x70
	case s.keyword("externref"):
		return 0x6f
	}
	return 0
}

// String shows the node in a message.
func (n node) String() string {
	switch n.kind {
	case word:
		return n.text
	case text:
		return "the string " + strconv.Quote(n.text)
	case list:
		return "a list"
	}
	return "nothing"
}

// A space gives indices to the things of one kind.
type space struct {
	what string
	ids  map[string]uint32
	size uint32
}

func newSpace(what string) *space { return &space{what: what, ids: map[string]uint32{}} }

// add gives the next thing its index. Only "" may come twice.
func (sp *space) add(id string) (index uint32, err error) {
	if _, taken := sp.ids[id]; taken {
		err = fmt.Errorf("two of %s %s", sp.what, id)
	}
	if id != "" {
		sp.ids[id] = sp.size
	}
	sp.size++
	return sp.size - 1, err
}
