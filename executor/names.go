package executor

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"wasmwhisk/whisk"
)

// maxID bounds a container's id, maxName the name of an environment variable.
const (
	maxID   = 128
	maxName = 256
)

// checkID accepts what callers may call a container: letters, digits and ._-,
// beginning with a letter or digit. It is safe as a file name.
func checkID(id string) error {
	if len(id) > maxID || !isWordOr(id, "._-") || !isAlnum(id[0]) {
		return whisk.Errorf(whisk.BadRequest, "a container id is 1 to %d letters, digits and ._-, the first a letter or digit", maxID)
	}
	return nil
}

// isWordOr accepts one or more letters, digits and others.
func isWordOr[T string | []byte](text T, others string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlnum(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return len(text) > 0
}

func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// newID makes an id for a container, 32 hexadecimal digits.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// checkName accepts the name of an environment variable: anything that cannot
// be mistaken for something else once it stands before "=value". Most are words,
// which is quicker to see.
func checkName(name string) error {
	if name == "" || len(name) > maxName || !isWordOr(name, "_") && !isText(name) {
		return whisk.Errorf(whisk.BadRequest, "%q cannot be the name of an environment variable", shorten(name))
	}
	return nil
}

func isText(name string) bool {
	return utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '=' || unicode.IsControl(r) })
}

// checkEntry accepts a variable whose value a C program can read whole.
func checkEntry(name, value string) error {
	if strings.IndexByte(value, 0) >= 0 {
		return whisk.Errorf(whisk.BadRequest, "the value of %q holds a zero byte", shorten(name))
	}
	return checkName(name)
}

func cutEnv(entry string) (name, value string, ok bool) { return strings.Cut(entry, "=") }

// shorten keeps a text of a caller's fit to be quoted to it.
func shorten(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
