package abi

import (
	"bytes"
	"encoding/json"
)

// HasError tells whether a result is an object with the key "error": the
// action's own word that it failed.
func HasError(result []byte) bool {
	if !bytes.Contains(result, []byte(`"error"`)) && !bytes.Contains(result, []byte(`\u`)) {
		return false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(result, &object) != nil {
		return false
	}
	_, has := object["error"]
	return has
}
