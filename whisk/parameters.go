package whisk

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// MaxParameterBytes bounds the parameters, and the annotations, of an entity.
const MaxParameterBytes = 1 << 20

// Parameter is a key with a JSON value. An annotation is one too.
type Parameter struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
	// Init is set on a parameter that an action gets as an environment variable
	// when it is initialized, not as an argument when it is run.
	Init bool `json:"init,omitempty"`
	// Encryption is kept as it came: nothing here encrypts.
	Encryption string `json:"encryption,omitempty"`
}

// Parameters are the parameters of an entity, or its annotations, in the order
// in which they came, each key once. Methods never change the receiver.
type Parameters []Parameter

// Get gives the value of a key.
func (p Parameters) Get(key string) (json.RawMessage, bool) {
	i := p.index(key)
	if i < 0 {
		return nil, false
	}
	return p[i].Value, true
}

func (p Parameters) index(key string) int {
	return slices.IndexFunc(p, func(q Parameter) bool { return q.Key == key })
}

// Defines reports whether a key has a value other than null: one that a request
// may not give again when the action is final.
func (p Parameters) Defines(key string) bool {
	value, ok := p.Get(key)
	return ok && string(value) != "null"
}

// Truthy reports whether a key's value is set and neither null, false, 0 nor "",
// as annotations like final and web-export are read.
func (p Parameters) Truthy(key string) bool {
	value, _ := p.Get(key)
	return !slices.Contains([]string{"", "null", "false", "0", `""`}, string(value))
}

// Text gives the value of a key when it is a string.
func (p Parameters) Text(key string) (string, bool) {
	value, _ := p.Get(key)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' && isPlain(string(value[1:n-1])) {
		return string(value[1 : n-1]), true // as it is with nearly all
	}
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}

// With sets a key to a value, which must have a JSON form.
func (p Parameters) With(key string, value any) Parameters {
	data, err := Encode(value)
	if err != nil {
		panic("whisk: parameter without a JSON form: " + err.Error())
	}
	return p.Merge(Parameters{{Key: key, Value: data}})
}

// Merge adds those of over; where both have a key, over's wins. So package,
// binding, action and request are merged, in this order.
func (p Parameters) Merge(over Parameters) Parameters {
	merged := make(Parameters, 0, len(p)+len(over))
	at := make(map[string]int, cap(merged))
	for _, q := range slices.Concat(p, over) {
		if i, twice := at[q.Key]; twice {
			merged[i] = q
			continue
		}
		at[q.Key] = len(merged)
		merged = append(merged, q)
	}
	return merged
}

// Without leaves keys out.
func (p Parameters) Without(keys ...string) Parameters {
	return slices.DeleteFunc(slices.Clone(p), func(q Parameter) bool { return slices.Contains(keys, q.Key) })
}

// Split parts what an action gets at its initialization from what it gets when
// it is run.
func (p Parameters) Split() (atInit, atRun Parameters) {
	for _, q := range p {
		if q.Init {
			atInit = append(atInit, q)
		} else {
			atRun = append(atRun, q)
		}
	}
	return atInit, atRun
}

// Env gives parameters as environment variables: strings as they are, null as
// nothing, everything else as its JSON.
func (p Parameters) Env() map[string]string {
	env := make(map[string]string, len(p))
	for _, q := range p {
		env[q.Key] = plain(q.Value)
	}
	return env
}

func plain(value json.RawMessage) string {
	var s string
	switch {
	case string(value) == "null":
		return ""
	case json.Unmarshal(value, &s) == nil:
		return s
	}
	return string(value)
}

// Size is how many bytes keys and values take.
func (p Parameters) Size() int {
	n := 0
	for _, q := range p {
		n += len(q.Key) + len(q.Value)
	}
	return n
}

// check bounds the size; what names the field in the error.
func (p Parameters) check(what string) error {
	if n := p.Size(); n > MaxParameterBytes {
		return errTooLarge(what, n, MaxParameterBytes)
	}
	return nil
}

func errTooLarge(what string, is, allowed int) error {
	return Errorf(TooLarge, "%s larger than allowed: %d > %d bytes.", what, is, allowed)
}

// MarshalJSON gives an array, also of none.
func (p Parameters) MarshalJSON() ([]byte, error) {
	if p == nil {
		return []byte("[]"), nil
	}
	return Encode([]Parameter(p))
}

// UnmarshalJSON reads an array of keys and values; of a key that comes twice
// the last counts.
func (p *Parameters) UnmarshalJSON(data []byte) error {
	var list []map[string]json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return errParameters()
	}
	read := make(Parameters, len(list))
	for i, fields := range list {
		var err error
		if read[i], err = parameter(fields); err != nil {
			return err
		}
	}
	*p = read.Merge(nil)
	return nil
}

func errParameters() error { return Malformed("parameters malformed!") }

// parameter wants a key and a value, which may be null but not absent.
func parameter(fields map[string]json.RawMessage) (Parameter, error) {
	var q Parameter
	if json.Unmarshal(fields["key"], &q.Key) != nil || strings.TrimSpace(q.Key) == "" {
		return q, errParameters()
	}
	if flag, ok := fields["init"]; ok && json.Unmarshal(flag, &q.Init) != nil {
		return q, errParameters()
	}
	if name, ok := fields["encryption"]; ok && json.Unmarshal(name, &q.Encryption) != nil {
		return q, errParameters()
	}
	value := &bytes.Buffer{}
	if json.Compact(value, fields["value"]) != nil {
		return q, errParameters()
	}
	q.Value = value.Bytes()
	return q, nil
}
