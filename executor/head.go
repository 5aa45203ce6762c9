package executor

import "bytes"

// head is the head of a request that the loop serves: a POST of HTTP/1.1 in its
// plainest form, which leaves nothing to interpretation.
type head struct {
	path   string
	size   int // in bytes, with the empty line
	length int // of the body that follows

	hosts, lengths int // how many fields of the name there are
}

// readHead reads the head that text begins with. Whatever is not whole, not
// certain or only unusual is not ok, and net/http's to understand.
func readHead(text []byte) (h head, ok bool) {
	size := bytes.Index(text, []byte("\r\n\r\n"))
	if size < 0 {
		return h, false
	}
	line, fields, _ := bytes.Cut(text[:size], []byte("\r\n"))
	h.size = size + len("\r\n\r\n")
	if !h.requestLine(line) {
		return h, false
	}
	for more := true; more; {
		line, fields, more = bytes.Cut(fields, []byte("\r\n"))
		if !h.field(line) {
			return h, false
		}
	}
	return h, h.hosts == 1 && h.lengths == 1
}

func (h *head) requestLine(line []byte) bool {
	line, post := bytes.CutPrefix(line, []byte("POST "))
	path, version := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	h.path = string(path)
	return post && version && isWordOr(path, "/-._")
}

// longestName is that of the fields that matter.
const longestName = len("transfer-encoding")

// field takes a field that may stand in the plainest form.
func (h *head) field(line []byte) bool {
	name, value, colon := bytes.Cut(line, []byte(":"))
	if !colon || !isWordOr(name, "-_") || !isPrintable(value) {
		return false
	}
	if len(name) > longestName {
		return true
	}
	value = bytes.Trim(value, " ")
	var low [longestName]byte
	switch string(lower(low[:0], name)) {
	case "host":
		h.hosts++
		return isWordOr(value, "-._:[]") // a name or an address, with a port or without
	case "content-length":
		h.lengths++
		return h.setLength(value)
	case "connection":
		return bytes.EqualFold(value, []byte("keep-alive"))
	case "transfer-encoding", "expect", "upgrade", "trailer", "te":
		return false
	}
	return true
}

// setLength takes a length that fits into a buffer for sure.
func (h *head) setLength(digits []byte) bool {
	if len(digits) == 0 || len(digits) > 5 {
		return false
	}
	for _, c := range digits {
		if !isDigit(c) {
			return false
		}
		h.length = 10*h.length + int(c-'0')
	}
	return true
}

// lower appends text with its letters in lower case.
func lower(to, text []byte) []byte {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

func isPrintable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
