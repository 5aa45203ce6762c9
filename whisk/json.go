package whisk

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// Malformed is the BadRequest of a body that cannot be understood.
func Malformed(detail string) *Error {
	return Errorf(BadRequest, "The request content was malformed:\n%s", detail)
}

// Decode reads one JSON value into v, as a request's body is read. Its errors
// are *Error.
func Decode(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	return Malformed(err.Error())
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
