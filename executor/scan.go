package executor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxDepth bounds the nesting of a request, as encoding/json does.
const maxDepth = 10000

var errNotJSON = errors.New("not valid JSON")

// members calls visit for each member of the JSON object in body, in order. The
// raw values alias body. All of body is validated, and nothing of it decoded
// but the keys: a request is mostly one long string (code) or one object that
// the guest reads itself (value), and decoding those here would cost more than
// running the action.
func members(body []byte, visit visitFunc) error {
	s := scanner{text: body}
	return s.whole(visit)
}

// membersOf calls visit for each member of the object that body has under the
// key; of other members, and of other values under the key, it sees none.
func membersOf(key string, body []byte, visit visitFunc) error {
	s := scanner{text: body, key: key, below: visit}
	return s.whole(func(string, json.RawMessage) error { return nil })
}

type visitFunc func(key string, value json.RawMessage) error

// scanner walks over a JSON text and accepts exactly what encoding/json does.
type scanner struct {
	text []byte
	at   int

	// below sees the members of the object under key, in the outermost object.
	// It is nil if nobody wants to.
	below visitFunc
	key   string
}

// whole steps over a text that is one object.
func (s *scanner) whole(visit visitFunc) error {
	if err := s.object(0, visit); err != nil {
		return err
	}
	if s.space(); s.at != len(s.text) {
		return errNotJSON
	}
	return nil
}

// peek is the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take steps over c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// value steps over one value.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); c {
	case '{', '[':
		if depth >= maxDepth {
			return errNotJSON
		}
		return s.nested(c, depth)
	case '"':
		return s.string()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) nested(open byte, depth int) error {
	if open == '{' {
		return s.object(depth, nil)
	}
	return s.array(depth)
}

// object steps over an object and shows its members, unless visit is nil.
func (s *scanner) object(depth int, visit visitFunc) error {
	if !s.take('{') {
		return errNotJSON
	}
	if s.take('}') {
		return nil
	}
	for {
		if err := s.member(depth, visit); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errNotJSON
		}
	}
}

func (s *scanner) member(depth int, visit visitFunc) error {
	key, err := s.span((*scanner).string)
	if err != nil || !s.take(':') {
		return errNotJSON
	}
	if depth == 0 && s.below != nil && s.peek() == '{' && text(key) == s.key {
		return s.object(1, s.below)
	}
	value, err := s.span(func(s *scanner) error { return s.value(depth + 1) })
	if err != nil || visit == nil {
		return err
	}
	return visit(name(key), value)
}

// span is the text that step steps over.
func (s *scanner) span(step func(*scanner) error) (json.RawMessage, error) {
	s.space()
	from := s.at
	err := step(s)
	return s.text[from:s.at:s.at], err
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.take(']') {
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errNotJSON
		}
	}
}

func (s *scanner) literal(want string) error {
	rest := s.text[s.at:]
	if len(rest) < len(want) || string(rest[:len(want)]) != want {
		return errNotJSON
	}
	s.at += len(want)
	return nil
}

func (s *scanner) string() error {
	if s.at == len(s.text) || s.text[s.at] != '"' {
		return errNotJSON
	}
	s.at++
	for {
		s.at = plainEnd(s.text, s.at)
		if s.at == len(s.text) {
			return errNotJSON
		}
		switch s.text[s.at] {
		case '"':
			s.at++
			return nil
		case '\\':
			if err := s.escape(); err != nil {
				return err
			}
		default:
			return errNotJSON
		}
	}
}

// shortText is up to where text is looked at in words, and largeBlock how much of a
// longer one is looked through at once: with a bound, or each of many escapes would have
// the search for the quote begin anew.
const (
	shortText  = 64
	largeBlock = 16 << 10
)

// plainEnd is the place of the first byte of text, from at on, that is a quote,
// a backslash or a control character. Code is one string of tens of megabytes.
func plainEnd(text []byte, at int) int {
	size := shortText
	end := at + plainWords(text[at:min(at+size, len(text))])
	for end == at+size {
		at, size = end, min(2*size, largeBlock)
		end += plainBlock(text[at:min(at+size, len(text))])
	}
	return end
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// plainWords is the place of the first byte that is not plain, or the end. It looks at
// eight bytes at a time.
func plainWords(text []byte) int {
	at := 0
	for ; at+8 <= len(text); at += 8 {
		w := binary.LittleEndian.Uint64(text[at:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		hit := (quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w
		if hit&tops != 0 {
			break
		}
	}
	for at < len(text) && text[at] != '"' && text[at] != '\\' && text[at] >= ' ' {
		at++
	}
	return at
}

// plainBlock is plainWords for long texts.
func plainBlock(text []byte) int {
	for _, end := range [...]byte{'"', '\\'} {
		if at := bytes.IndexByte(text, end); at >= 0 {
			text = text[:at]
		}
	}
	if !hasControls(text) {
		return len(text)
	}
	return plainWords(text)
}

// hasControls tells whether there are control characters in a text, 32 bytes at a time.
func hasControls(text []byte) bool {
	for ; len(text) >= 32; text = text[32:] {
		hit := control(text) | control(text[8:]) | control(text[16:]) | control(text[24:])
		if hit&tops != 0 {
			return true
		}
	}
	return plainWords(text) < len(text)
}

// control has the top bit of a byte set if one of eight is a control character.
func control(text []byte) uint64 {
	w := binary.LittleEndian.Uint64(text)
	return (w - ' '*ones) &^ w
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.text) {
		return errNotJSON
	}
	switch s.text[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return nil
	case 'u':
		return s.unicode()
	}
	return errNotJSON
}

func (s *scanner) unicode() error {
	if s.at+6 > len(s.text) {
		return errNotJSON
	}
	for _, c := range s.text[s.at+2 : s.at+6] {
		if !isHex(c) {
			return errNotJSON
		}
	}
	s.at += 6
	return nil
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) number() error {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return errNotJSON
	}
	if s.skip('.') && !s.digits() {
		return errNotJSON
	}
	if !s.skip('e') && !s.skip('E') {
		return nil
	}
	if !s.skip('+') {
		s.skip('-')
	}
	if !s.digits() {
		return errNotJSON
	}
	return nil
}

// skip steps over c if it is the very next byte.
func (s *scanner) skip(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > from
}

// name is a key as text. Those that every request has cost nothing.
func name(raw json.RawMessage) string {
	switch string(raw) {
	case `"value"`:
		return "value"
	case `"namespace"`:
		return "namespace"
	case `"action_name"`:
		return "action_name"
	case `"action_version"`:
		return "action_version"
	case `"activation_id"`:
		return "activation_id"
	case `"transaction_id"`:
		return "transaction_id"
	case `"deadline"`:
		return "deadline"
	case `"api_key"`:
		return "api_key"
	}
	return text(raw)
}

// text is a valid JSON value as text: a string decoded, null as nothing,
// anything else as its JSON.
func text(raw json.RawMessage) string {
	if string(raw) == "null" {
		return ""
	}
	if plain, ok := plainString(raw); ok {
		return string(plain)
	}
	if len(raw) < 2 || raw[0] != '"' {
		return string(raw)
	}
	var decoded string
	if json.Unmarshal(raw, &decoded) != nil {
		return ""
	}
	return decoded
}

// largeText is text(raw) without a copy of what is larger than the memory that bodies
// share: memory of its own nobody writes to any more.
func largeText(raw json.RawMessage) string {
	if len(raw) <= smallBytes {
		return text(raw)
	}
	plain, ok := plainString(raw)
	if !ok {
		return text(raw)
	}
	return unsafe.String(unsafe.SliceData(plain), len(plain)) //nolint:gosec // nothing writes there
}

// plainString is the inside of a string that means what is written there.
func plainString(raw json.RawMessage) (plain []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	plain = raw[1 : len(raw)-1]
	return plain, bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain)
}

// texts are the texts of several values, in one piece of memory if they are
// short.
type texts struct{ kept strings.Builder }

// shortTexts is room for what OpenWhisk tells about an activation.
const shortTexts = 192

// text is text(raw).
func (t *texts) text(raw json.RawMessage) string {
	plain, ok := plainString(raw)
	if !ok || len(plain) > shortTexts-t.kept.Len() {
		return text(raw)
	}
	t.kept.Grow(shortTexts - t.kept.Len())
	at := t.kept.Len()
	t.kept.Write(plain)
	return t.kept.String()[at:]
}
