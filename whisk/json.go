package whisk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Malformed is the BadRequest of a body that cannot be understood.
func Malformed(detail string) *Error {
	return Errorf(BadRequest, "The request content was malformed:\n%s", detail)
}

// RequestTooLarge is the TooLarge of a request longer than limit bytes. A length of
// 0 or less means that it is not known.
func RequestTooLarge(length, limit int64) *Error {
	if length <= 0 {
		return Errorf(TooLarge, "Request larger than allowed: more than %d bytes.", limit)
	}
	return Errorf(TooLarge, "Request larger than allowed: %d > %d bytes.", length, limit)
}

// Decode reads one JSON object into v, as a request's body is read. Its errors
// are *Error.
func Decode(data []byte, v any) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return errNoObject() // which json.Unmarshal takes for an object without members
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errWrongType(wrong)
	}
	return Malformed(err.Error())
}

func errNoObject() error { return Malformed("Object expected") }

// errWrongType says what is wrong with a member in the words of who wrote it: the
// package json names Go's types.
func errWrongType(wrong *json.UnmarshalTypeError) error {
	var members []string
	for member := range strings.SplitSeq(wrong.Field, ".") {
		if member != "" && !unicode.IsUpper(rune(member[0])) { // then it is an embedded struct
			members = append(members, member)
		}
	}
	if len(members) == 0 {
		return errNoObject()
	}
	return Malformed(fmt.Sprintf("'%s' malformed: unexpected %s", strings.Join(members, "."), wrong.Value))
}

// Encode is the JSON of v, compact, with <, > and & as they are.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Timestamp is a point in time as OpenWhisk writes it: milliseconds since 1970.
// The zero value is no time.
type Timestamp int64

// At is t, cut to milliseconds.
func At(t time.Time) Timestamp { return Timestamp(t.UnixMilli()) }

// Time is the point in time, in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }
