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
	if id == "" || len(id) > maxID || !isAlnum(id[0]) {
		return errID()
	}
	for i := range len(id) {
		if !isAlnum(id[i]) && !strings.ContainsRune("._-", rune(id[i])) {
			return errID()
		}
	}
	return nil
}

func errID() error {
	return whisk.Errorf(whisk.BadRequest, "a container id is 1 to %d letters, digits and ._-, the first a letter or digit", maxID)
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
// be mistaken for something else once it stands before "=value".
func checkName(name string) error {
	if name == "" || len(name) > maxName || !isWord(name) && !isText(name) {
		return whisk.Errorf(whisk.BadRequest, "%q cannot be the name of an environment variable", shorten(name))
	}
	return nil
}

// isWord is the quick answer for names as they usually are.
func isWord(name string) bool {
	for i := range len(name) {
		if !isAlnum(name[i]) && name[i] != '_' {
			return false
		}
	}
	return true
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
