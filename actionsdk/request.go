//go:build !wasip1

package actionsdk

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
)

// request is what OpenWhisk sends to run an action: a value, and beside it what
// an action may know about its activation.
type request struct {
	value  json.RawMessage
	fields map[string]string
}

func parseRequest(text []byte) (request, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return request{}, err
	}
	value, ok := all["value"]
	if !ok {
		value = json.RawMessage("{}")
	}
	delete(all, "value")
	return request{value, texts(all)}, nil
}

// texts gives fields as environment variables have them: text as it is, null
// as nothing, the rest as JSON.
func texts(fields map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(fields))
	for name, value := range fields {
		out[name] = text(value)
	}
	return out
}

func text(value json.RawMessage) string {
	var s *string
	if err := json.Unmarshal(value, &s); err == nil {
		if s == nil {
			return ""
		}
		return *s
	}
	var b bytes.Buffer
	// The value was parsed before.
	_ = json.Compact(&b, value)
	return b.String()
}

// enter puts the fields into the environment of the process, until the function
// that it returns is called.
func (r request) enter() (leave func()) {
	before := make(map[string]string)
	var added []string
	for field, value := range r.fields {
		name := "__OW_" + strings.ToUpper(field)
		if old, ok := os.LookupEnv(name); ok {
			before[name] = old
		} else {
			added = append(added, name)
		}
		// A name that no environment can have is nothing an action can look up.
		_ = os.Setenv(name, value)
	}
	return func() {
		setenv(before)
		for _, name := range added {
			_ = os.Unsetenv(name)
		}
	}
}

func setenv(vars map[string]string) {
	for name, value := range vars {
		_ = os.Setenv(name, value)
	}
}
