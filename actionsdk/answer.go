package actionsdk

import (
	"bytes"
	"encoding/json"
)

// answer runs the handler; its error is an answer too.
func answer(handler Handler, event json.RawMessage) json.RawMessage {
	result, err := handler(event)
	if err != nil {
		return errorAnswer(err.Error())
	}
	if len(result) == 0 {
		return json.RawMessage("{}")
	}
	return result
}

// errorAnswer is {"error":text}. It keeps <, > and & readable.
func errorAnswer(text string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// A string always has an encoding.
	_ = enc.Encode(struct {
		Error string `json:"error"`
	}{text})
	return bytes.TrimSpace(b.Bytes())
}

// line puts JSON on a line of its own. A line break in JSON is always space
// between tokens: in strings it is escaped.
func line(result json.RawMessage) []byte {
	flat := append(bytes.Clone(result), '\n')
	for i, c := range flat[:len(result)] {
		if c == '\n' || c == '\r' {
			flat[i] = ' '
		}
	}
	return flat
}
