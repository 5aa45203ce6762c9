package precompile

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"wasmwhisk/engine"
)

// IntakeBase64 is [Intake] for the code of an init request, whatever its field
// "binary" says: base64, line breaks allowed and padding optional, or the module
// or archive itself where a client sent it as text.
//
// It allocates no more than the decoded code, and nothing for code past the
// limit.
func IntakeBase64(code string, limits Limits) (Action, error) {
	return intakeBase64(code, limits, nil)
}

func intakeBase64(code string, limits Limits, preview engine.Preview) (Action, error) {
	limits = limits.withDefaults()
	code = strings.TrimLeftFunc(code, unicode.IsSpace)
	text := strings.TrimRightFunc(code, unicode.IsSpace)
	if text == "" {
		return Action{}, ErrNoCode
	}
	if looksBinary(code) {
		return intakeText(code, limits)
	}
	if longest := longestText(limits.CodeBytes); int64(len(text)) > longest {
		return Action{}, tooLarge("the base64 text", int64(len(text)), longest)
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "=\r\n"))
	if err != nil {
		return Action{}, notBase64(text, err)
	}
	return intake(decoded, limits, preview)
}

// longestText leaves room for line breaks: CR LF after 64 characters are 1/32.
func longestText(codeBytes int64) int64 {
	encoded := (codeBytes + 2) / 3 * 4
	return encoded + encoded/16
}

// looksBinary tells by characters that base64 does not have. Only the start
// counts: a fault further on is better told as a position.
func looksBinary(code string) bool {
	head := code[:min(len(code), 4)]
	return strings.ContainsAny(head, "\x00\x03\x05\x1f\x7f#")
}

// intakeText takes in what came as text. Of a module that is hardly ever
// possible: bytes that are no UTF-8 do not survive.
func intakeText(code string, limits Limits) (Action, error) {
	if int64(len(code)) > limits.CodeBytes {
		return Action{}, tooLarge("the code", int64(len(code)), limits.CodeBytes)
	}
	return Intake([]byte(code), limits)
}

// notBase64 blames the position that the decoder found, unless the whole is
// something that the developer will recognise.
func notBase64(text string, err error) error {
	if strings.ContainsFunc(text[:min(len(text), 64)], foreignToBase64) {
		return checkModule([]byte(text[:min(len(text), sniffBytes)]))
	}
	if at, ok := errors.AsType[base64.CorruptInputError](err); ok && int64(at) < int64(len(text)) && !isAlphabet(text[at]) {
		r, _ := utf8.DecodeRuneInString(text[at:])
		return refuse(FaultEncoding, "the code is not base64: unexpected %q at offset %d", r, int64(at))
	}
	return refuse(FaultEncoding, "the code is not base64: it ends in the middle of a byte")
}

// foreignToBase64 counts the URL-safe alphabet as base64: that is a mistake of
// its own kind.
func foreignToBase64(r rune) bool {
	return r >= utf8.RuneSelf || !isAlphabet(byte(r)) && !strings.ContainsRune("-_=\r\n", r)
}

func isAlphabet(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '+' || b == '/'
}
