package precompile

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
)

// Recent gives the actions whose artefacts were used last, at most n, the last one
// first. They have no binaries; [Cache.Module] needs none for them.
func (c *Cache) Recent(n int) []Action {
	if c.precompiler == nil {
		return nil
	}
	all, _ := c.list()
	var actions []Action
	for _, last := range slices.Backward(all) {
		if len(actions) >= n {
			break
		}
		if hash, ok := c.hashOf(last.path); ok {
			actions = append(actions, Action{Hash: hash})
		}
	}
	return actions
}

// hashOf is that of the binary whose artefact is there, if this engine made it.
func (c *Cache) hashOf(path string) (hash [sha256.Size]byte, ok bool) {
	text, err := readHeader(filepath.Join(path, headerFile))
	if err != nil {
		return hash, false
	}
	h, err := decodeHeader(text)
	if err != nil || h.Engine != c.fingerprint {
		return hash, false
	}
	n, err := hex.Decode(hash[:], []byte(h.Hash))
	return hash, err == nil && n == len(hash)
}
