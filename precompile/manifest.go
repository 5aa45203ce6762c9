package precompile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"wasmwhisk/engine/abi"
)

// mainBytes bounds the name of an entry point.
const mainBytes = 256

// ParseManifest reads a manifest: one JSON object with the fields "abi" and
// "main", each a string and optional, and no others. The error is an
// [IntakeError] that names the field.
func ParseManifest(text []byte) (Manifest, error) {
	if !utf8.Valid(text) {
		return Manifest{}, refuse(FaultManifest, "%s: not UTF-8", manifestName)
	}
	fields, err := stringFields(text)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	for name, value := range fields {
		if err := m.set(name, value); err != nil {
			return Manifest{}, err
		}
	}
	return m, nil
}

func (m *Manifest) set(name, value string) error {
	switch name {
	case "abi":
		m.ABI = abi.Name(value)
	case "main":
		m.Main = value
	default:
		return refuse(FaultManifest, "%s: unknown field %q; known are abi and main", manifestName, shorten(name))
	}
	return m.Validate()
}

// Validate says which field cannot stand, as an [IntakeError].
func (m Manifest) Validate() error {
	if m.ABI != "" && !slices.Contains(contracts(), m.ABI) {
		return refuse(FaultManifest, "%s: field \"abi\": no contract %q; there are %s", manifestName, shorten(string(m.ABI)), contractList())
	}
	if len(m.Main) > mainBytes || strings.ContainsFunc(m.Main, unicode.IsControl) {
		return refuse(FaultManifest, "%s: field \"main\": must be a name of at most %d bytes", manifestName, mainBytes)
	}
	return nil
}

func contracts() []abi.Name {
	return []abi.Name{abi.Reactor, abi.Command, abi.ActionLoop, abi.Wow, abi.SetInput}
}

func contractList() string {
	var names []string
	for _, name := range contracts() {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// stringFields decodes an object whose values are strings, more strictly than
// json.Unmarshal would: spelling counts, and nothing is said twice.
func stringFields(text []byte) (map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, manifestSyntax(err)
	}
	fields := map[string]string{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, manifestSyntax(err)
		}
		if err := addField(fields, name.(string), dec); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, manifestSyntax(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, refuse(FaultManifest, "%s: something follows the object", manifestName)
	}
	return fields, nil
}

func addField(fields map[string]string, name string, dec *json.Decoder) error {
	if _, twice := fields[name]; twice {
		return refuse(FaultManifest, "%s: field %q occurs twice", manifestName, shorten(name))
	}
	var value *string
	err := dec.Decode(&value)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || (err == nil && value == nil) {
		return refuse(FaultManifest, "%s: field %q must be a string", manifestName, shorten(name))
	}
	if err != nil {
		return manifestSyntax(err)
	}
	fields[name] = *value
	return nil
}

func manifestSyntax(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return refuse(FaultManifest, "%s: must be a JSON object", manifestName)
	}
	return refuse(FaultManifest, "%s: not JSON: %v", manifestName, err)
}
