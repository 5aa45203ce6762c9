package action

import (
	"encoding/json"
	"path"
	"strings"

	"wasmwhisk/engine/abi"
	"wasmwhisk/whisk"
)

// Wishes are what an action asks for in its annotations. The zero value asks
// for nothing.
type Wishes struct {
	ABI   abi.Name // empty: found out by the exports
	Dir   string   // a guest path; empty asks for none
	Hosts []string // to reach over the network

	NoSnapshot bool
	Fork       bool // its activations go on from where a command reads its input
}

// Set takes one annotation. Those that are no wishes are ignored; the error is a
// [whisk.Error] of kind BadRequest.
func (w *Wishes) Set(key string, value json.RawMessage) (err error) {
	switch key {
	case "abi":
		err = w.setABI(value)
	case "dir":
		err = w.setDir(value)
	case "net", "net_access":
		err = w.addHosts(key, value)
	case "snapshot":
		w.NoSnapshot = isFalsy(value)
	case "fork":
		w.Fork = isTrue(value)
	}
	return err
}

func (w *Wishes) setABI(raw json.RawMessage) error {
	name, ok := stringOf(raw)
	if !ok && string(raw) != "null" {
		return whisk.Errorf(whisk.BadRequest, "the annotation abi must be a string")
	}
	w.ABI = abi.Name(name)
	return nil
}

// setDir accepts the guest path of a directory: absolute and clean, so that it
// says what it means.
func (w *Wishes) setDir(raw json.RawMessage) error {
	if isFalsy(raw) {
		w.Dir = ""
		return nil
	}
	dir, ok := stringOf(raw)
	if !ok || !path.IsAbs(dir) || path.Clean(dir) != dir || strings.Contains(dir, "\x00") || len(dir) > 1024 {
		return whisk.Errorf(whisk.BadRequest, "the annotation dir must be an absolute path without . and .. and without a slash at its end")
	}
	w.Dir = dir
	return nil
}

// addHosts accepts true for any host, one host, or a list of them.
func (w *Wishes) addHosts(key string, raw json.RawMessage) error {
	if isFalsy(raw) {
		return nil
	}
	if isTrue(raw) {
		w.Hosts = append(w.Hosts, "*")
		return nil
	}
	if host, ok := stringOf(raw); ok {
		w.Hosts = append(w.Hosts, host)
		return nil
	}
	var hosts []string
	if raw[0] != '[' || json.Unmarshal(raw, &hosts) != nil {
		return whisk.Errorf(whisk.BadRequest, "the annotation %s must be true, a host or a list of hosts", key)
	}
	w.Hosts = append(w.Hosts, hosts...)
	return nil
}

func stringOf(raw json.RawMessage) (s string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}

func isTrue(raw json.RawMessage) bool { return string(raw) == "true" || string(raw) == `"true"` }

func isFalsy(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`, `"false"`:
		return true
	}
	return false
}
