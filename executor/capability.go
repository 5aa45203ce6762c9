package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/whisk"
)

// annotations are what an action asks for in its /init. Nobody need send any,
// and those not known here are ignored.
type annotations struct {
	abi   abi.Name
	dir   string   // a guest path; empty asks for none
	hosts []string // to reach over the network

	noSnapshot bool
}

func parseAnnotations(raw json.RawMessage) (annotations, error) {
	var a annotations
	if string(raw) == "null" {
		return a, nil
	}
	err := members(raw, func(key string, value json.RawMessage) (err error) {
		switch key {
		case "abi":
			a.abi = abi.Name(text(value))
		case "dir":
			a.dir, err = parseDir(value)
		case "net", "net_access":
			var hosts []string
			hosts, err = parseHosts(key, value)
			a.hosts = append(a.hosts, hosts...)
		case "snapshot":
			a.noSnapshot = isFalsy(value)
		}
		return err
	})
	if errors.Is(err, errNotJSON) {
		return a, whisk.Errorf(whisk.BadRequest, "the annotations are not an object")
	}
	return a, err
}

// parseDir accepts the guest path of a directory: absolute and clean, so that
// it says what it means.
func parseDir(raw json.RawMessage) (string, error) {
	if isFalsy(raw) {
		return "", nil
	}
	dir := text(raw)
	if raw[0] != '"' || !path.IsAbs(dir) || path.Clean(dir) != dir || strings.Contains(dir, "\x00") || len(dir) > 1024 {
		return "", whisk.Errorf(whisk.BadRequest, "the annotation dir must be an absolute path without . and .. and without a slash at its end")
	}
	return dir, nil
}

// parseHosts accepts true for any host, one host, or a list of them.
func parseHosts(key string, raw json.RawMessage) ([]string, error) {
	if isFalsy(raw) {
		return nil, nil
	}
	var hosts []string
	switch {
	case string(raw) == "true", string(raw) == `"true"`:
		return []string{"*"}, nil
	case raw[0] == '"':
		return []string{text(raw)}, nil
	case raw[0] == '[' && json.Unmarshal(raw, &hosts) == nil:
		return hosts, nil
	}
	return nil, whisk.Errorf(whisk.BadRequest, "the annotation %s must be true, a host or a list of hosts", key)
}

func isFalsy(raw json.RawMessage) bool {
	switch string(raw) {
	case "null", "false", `""`, `"false"`:
		return true
	}
	return false
}

// granter turns what actions ask for into what the operator gives.
type granter struct {
	net NetPolicy
	// dirs is the directory of all private ones; empty grants none.
	dirs string
}

// grant gives the capabilities of an action, to be revoked after its last use.
func (g granter) grant(a annotations, owner string) (granted sandbox.Capabilities, err error) {
	if len(a.hosts) > 0 && !g.net.Off {
		if granted.HTTP, err = host.NewClient(g.net.policy(a.hosts)); err != nil {
			return granted, whisk.Errorf(whisk.BadRequest, "the annotation net: %v", err)
		}
	}
	if a.dir == "" {
		return granted, nil
	}
	root, err := g.open(owner, a.dir)
	if err != nil {
		revoke(granted)
		return sandbox.Capabilities{}, err
	}
	granted.Mounts = []wasi.Mount{{Guest: a.dir, Root: root, Access: wasi.ReadWrite}}
	return granted, nil
}

// revoke closes what a grant holds open.
func revoke(granted sandbox.Capabilities) {
	if granted.HTTP != nil {
		granted.HTTP.Close()
	}
	for _, m := range granted.Mounts {
		_ = m.Root.Close()
	}
}

// open gives a directory within the owner's private one. Every owner has a small
// file system of its own, and the guest path is a path in it: two actions of a
// namespace that ask for the same path share it, and nothing else is reachable.
func (g granter) open(owner, guest string) (*os.Root, error) {
	if g.dirs == "" {
		return nil, whisk.Errorf(whisk.ActionFault, "the action asks for the directory %s, but this executor grants none", guest)
	}
	private := filepath.Join(g.dirs, owner)
	if err := os.MkdirAll(private, 0o700); err != nil {
		return nil, fmt.Errorf("private directory: %w", err)
	}
	root, err := os.OpenRoot(private)
	if err != nil {
		return nil, fmt.Errorf("private directory: %w", err)
	}
	if guest == "/" {
		return root, nil
	}
	defer root.Close()
	return openBelow(root, guest[1:])
}

// openBelow fails where an action left something else than a directory, or a
// link out of its own, behind.
func openBelow(root *os.Root, name string) (*os.Root, error) {
	err := root.MkdirAll(name, 0o700)
	if err != nil {
		return nil, whisk.Errorf(whisk.ActionFault, "the directory /%s cannot be made: something else is in its place", name)
	}
	below, err := root.OpenRoot(name)
	if err != nil {
		return nil, whisk.Errorf(whisk.ActionFault, "the directory /%s cannot be opened: something else is in its place", name)
	}
	return below, nil
}

// ownerOf names the private directory of a namespace or, where that is not
// known, of a container. Names that are no safe file names are hashed; the
// prefixes keep the kinds apart.
func ownerOf(namespace, containerID string) string {
	switch {
	case namespace == "":
		return "container-" + containerID
	case checkID(namespace) == nil:
		return "namespace-" + namespace
	}
	sum := sha256.Sum256([]byte(namespace))
	return "namespace=" + hex.EncodeToString(sum[:16])
}

// forget removes the private directory of an owner, if there is one.
func (g granter) forget(owner string) error {
	if g.dirs == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(g.dirs, owner))
}
