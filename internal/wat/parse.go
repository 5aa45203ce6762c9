package wat

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep parentheses nest. Flat blocks are not bound by it.
const maxDepth = 1000

type kind byte

const (
	eof kind = iota
	open
	closing
	word
	text
	list = open
)

// A node is a word, a string or a list of nodes.
type node struct {
	kind  kind
	pos   int    // offset of its first character
	end   int    // of a list: offset of its closing parenthesis
	text  string // a word as written, or the bytes that a string stands for
	nodes []node // of a list
}

// parse reads the whole source as a sequence of nodes.
func parse(src string) ([]node, *fault) {
	p := &parser{src: src}
	nodes, last, err := p.nodes(0)
	if err == nil && last.kind == closing {
		err = &fault{last.pos, "unexpected )"}
	}
	return nodes, err
}

type parser struct {
	src string
	pos int
}

// nodes reads up to the end of the source or a closing parenthesis, and gives
// that as well.
func (p *parser) nodes(depth int) (nodes []node, last node, err *fault) {
	for {
		n, err := p.token()
		if err != nil || n.kind == closing || n.kind == eof {
			return nodes, n, err
		}
		if n.kind == open {
			err = p.list(&n, depth+1)
		}
		if err != nil {
			return nil, n, err
		}
		nodes = append(nodes, n)
	}
}

func (p *parser) list(n *node, depth int) *fault {
	if depth > maxDepth {
		return &fault{n.pos, "nested too deeply"}
	}
	nodes, last, err := p.nodes(depth)
	if err != nil {
		return err
	}
	if last.kind == eof {
		return &fault{n.pos, "( without )"}
	}
	n.nodes, n.end = nodes, last.pos
	return nil
}

// token reads a parenthesis, a word or a string.
func (p *parser) token() (node, *fault) {
	if err := p.space(); err != nil {
		return node{}, err
	}
	n := node{pos: p.pos}
	if p.pos == len(p.src) {
		return n, nil
	}
	switch c := p.src[p.pos]; {
	case c == '(':
		n.kind, p.pos = open, p.pos+1
	case c == ')':
		n.kind, p.pos = closing, p.pos+1
	case c == '"':
		return p.string()
	case isWord(c):
		for p.pos < len(p.src) && isWord(p.src[p.pos]) {
			p.pos++
		}
		n.kind, n.text = word, p.src[n.pos:p.pos]
	default:
		r, _ := utf8.DecodeRuneInString(p.src[p.pos:])
		return n, &fault{p.pos, "unexpected character " + strconv.QuoteRune(r)}
	}
	return n, nil
}

func isWord(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune("\"(),;[]{}", rune(c))
}

// space skips white space and comments.
func (p *parser) space() *fault {
	for p.pos < len(p.src) {
		rest := p.src[p.pos:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			p.pos++
		case strings.HasPrefix(rest, ";;"):
			line, _, _ := strings.Cut(rest, "\n")
			p.pos += len(line)
		case strings.HasPrefix(rest, "(;"):
			n := blockComment(rest)
			if n == 0 {
				return &fault{p.pos, "(; without ;)"}
			}
			p.pos += n
		default:
			return nil
		}
	}
	return nil
}

// blockComment is the length of the comment at the start of s, in which others
// may nest; 0 if it does not end.
func blockComment(s string) int {
	for i, depth := 0, 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "(;":
			depth++
			i += 2
		case ";)":
			depth--
			i += 2
		default:
			i++
		}
		if depth == 0 {
			return i
		}
	}
	return 0
}

func (p *parser) string() (node, *fault) {
	n := node{kind: text, pos: p.pos}
	var b []byte
	for p.pos++; p.pos < len(p.src); {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.pos++
			n.text = string(b)
			return n, nil
		case c == '\\':
			bytes, size := unescape(p.src[p.pos+1:])
			if size == 0 {
				return n, &fault{p.pos, "unknown escape in string"}
			}
			b = append(b, bytes...)
			p.pos += 1 + size
		case c < ' ' || c == 0x7f:
			return n, &fault{p.pos, "control character in string"}
		default:
			b = append(b, c)
			p.pos++
		}
	}
	return n, &fault{n.pos, "string without end"}
}

// unescape gives what the escape at the start of s, after its backslash, stands
// for, and its length; 0 if there is no such escape.
func unescape(s string) (bytes string, size int) {
	if i := strings.IndexByte(`tnr"'\`, first(s)); i >= 0 {
		return "\t\n\r\"'\\"[i : i+1], 1
	}
	if hex, ok := strings.CutPrefix(s, "u{"); ok {
		hex, _, ok := strings.Cut(hex, "}")
		r, valid := parseUint("0x"+hex, 32)
		if !ok || !valid || r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
			return "", 0
		}
		return string(rune(r)), len("u{}") + len(hex)
	}
	if len(s) < 2 {
		return "", 0
	}
	b, err := strconv.ParseUint(s[:2], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(b)}), 2
}

// first is the first byte of s, and a zero that no escape begins with if s is
// empty.
func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}
