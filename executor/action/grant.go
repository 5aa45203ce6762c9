package action

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/whisk"
)

// NetPolicy is the operator's share in what actions may reach over the network:
// an action names the hosts it wants, and this takes some of them away.
type NetPolicy struct {
	// Off refuses the network to every action.
	Off bool
	// Deny and AllowPrivate are those of [host.Policy].
	Deny         []string
	AllowPrivate []netip.Prefix
}

// Validate reports what cannot stand in a policy.
func (n NetPolicy) Validate() error { return n.policy(nil).Validate() }

// policy is that of an action that wants to reach these hosts.
func (n NetPolicy) policy(allow []string) host.Policy {
	return host.Policy{Allow: allow, Deny: n.Deny, AllowPrivate: n.AllowPrivate}
}

// grant gives the capabilities of an action, to be revoked after its last use.
func (m *Maker) grant(w Wishes, owner string) (granted sandbox.Capabilities, err error) {
	if net := m.config.Net; len(w.Hosts) > 0 && !net.Off {
		if granted.HTTP, err = host.NewClient(net.policy(w.Hosts)); err != nil {
			return granted, whisk.Errorf(whisk.BadRequest, "the annotation net: %v", err)
		}
	}
	if w.Dir == "" {
		return granted, nil
	}
	root, err := m.open(owner, w.Dir)
	if err != nil {
		revoke(granted)
		return sandbox.Capabilities{}, err
	}
	granted.Mounts = []wasi.Mount{{Guest: w.Dir, Root: root, Access: wasi.ReadWrite}}
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
func (m *Maker) open(owner, guest string) (*os.Root, error) {
	if m.config.DirRoot == "" {
		return nil, whisk.Errorf(whisk.ActionFault, "the action asks for the directory %s, but this executor grants none", guest)
	}
	private := filepath.Join(m.config.DirRoot, owner)
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
// known, of an id. Names that are no safe file names are hashed; the prefixes
// keep the kinds apart.
func ownerOf(namespace, id string) string {
	switch {
	case namespace == "":
		return "container-" + id
	case isFileName(namespace):
		return "namespace-" + namespace
	}
	sum := sha256.Sum256([]byte(namespace))
	return "namespace=" + hex.EncodeToString(sum[:16])
}

const fileNameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func isFileName(name string) bool { return len(name) <= 128 && strings.Trim(name, fileNameChars) == "" }

// Forget removes the private directory of an id that belonged to no namespace,
// if there is one.
func (m *Maker) Forget(id string) error {
	if m.config.DirRoot == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(m.config.DirRoot, ownerOf("", id)))
}
