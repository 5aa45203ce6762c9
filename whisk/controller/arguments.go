package controller

import (
	"bytes"
	"encoding/json"

	"wasmwhisk/whisk"
)

// members are those of a payload, which must be a JSON object; an empty payload
// is one without any.
func members(payload []byte) (map[string]json.RawMessage, error) {
	var found map[string]json.RawMessage
	if len(payload) == 0 {
		return found, nil
	}
	if json.Unmarshal(payload, &found) != nil || found == nil {
		return nil, whisk.Malformed("Object expected")
	}
	return found, nil
}

// arguments puts the members of a payload in the place of parameters of the same
// name. A payload that is an array, as a component of a sequence may give, stands
// alone.
func arguments(parameters whisk.Parameters, payload []byte) ([]byte, error) {
	payload = bytes.TrimSpace(payload)
	if isArray(payload) && json.Valid(payload) {
		return payload, nil
	}
	if len(parameters) == 0 && isObject(payload) && json.Valid(payload) {
		return payload, nil // which spares most invocations the map
	}
	own, err := members(payload)
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	all.Grow(len(payload) + parameters.Size() + 8*len(parameters) + 2)
	all.WriteByte('{')
	for _, p := range parameters {
		if _, given := own[p.Key]; !given {
			writeMember(&all, p)
		}
	}
	if len(own) > 0 {
		separate(&all)
		all.Write(bytes.TrimSpace(payload[1 : len(payload)-1]))
	}
	all.WriteByte('}')
	return all.Bytes(), nil
}

func writeMember(to *bytes.Buffer, p whisk.Parameter) {
	separate(to)
	to.Write(whisk.AppendText(to.AvailableBuffer(), p.Key))
	to.WriteByte(':')
	to.Write(p.Value)
}

// separate writes a comma unless nothing stands before it.
func separate(to *bytes.Buffer) {
	if to.Len() > 1 {
		to.WriteByte(',')
	}
}

func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

func isArray(value []byte) bool { return len(value) > 0 && value[0] == '[' }

// checkFinal refuses a payload that gives what a final action has defined.
func checkFinal(a *whisk.Action, defined whisk.Parameters, payload []byte) error {
	if !a.Annotations.Truthy("final") {
		return nil
	}
	given, err := members(payload)
	if err != nil {
		return err
	}
	for key := range given {
		if defined.Defines(key) {
			return whisk.Errorf(whisk.BadRequest, textNotAllowed)
		}
	}
	return nil
}
