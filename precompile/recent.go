package precompile

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Recent gives the actions whose artefacts were used last, at most n, the last one
// first. They have no binaries; [Cache.Module] needs none for them.
func (c *Cache) Recent(n int) []Action {
	if c.precompiler == nil {
		return nil
	}
	var actions []Action
	for _, key := range c.lastUsed() {
		if len(actions) >= n {
			break
		}
		if hash, ok := c.hashOf(key); ok {
			actions = append(actions, Action{Hash: hash})
		}
	}
	return actions
}

// lastUsed lists the names of artefacts and of what is derived from modules, the last
// used first.
func (c *Cache) lastUsed() []string {
	entries, _ := os.ReadDir(c.dir)
	used := make(map[string]time.Time, len(entries))
	var keys []string
	for _, e := range entries {
		if info, err := e.Info(); err == nil && isKey(e.Name()) {
			used[e.Name()] = info.ModTime()
			keys = append(keys, e.Name())
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return used[b].Compare(used[a]) })
	return keys
}

// hashOf is that of the binary whose artefact has a key, if this engine made it.
func (c *Cache) hashOf(key string) (hash [sha256.Size]byte, ok bool) {
	text, err := readHeader(filepath.Join(c.dir, key, headerFile))
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
