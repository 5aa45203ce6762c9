package precompile

import (
	"crypto/sha256"
	"sync"
)

// BeginningBytes is how much of an upload's text tells it from most others: 48 KiB of an
// archive, which has times and checksums in front.
const BeginningBytes = 64 << 10

// maxBeginnings bounds what is remembered, at some 100 bytes each.
const maxBeginnings = 4096

// beginnings are the modules of uploads by how these began, the last one of each. The zero
// value is ready for use.
type beginnings struct {
	mu      sync.Mutex
	modules map[[tagBytes]byte][sha256.Size]byte
}

func (b *beginnings) put(tag [tagBytes]byte, module [sha256.Size]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.modules[tag]; !known && len(b.modules) >= maxBeginnings || b.modules == nil {
		b.modules = map[[tagBytes]byte][sha256.Size]byte{}
	}
	b.modules[tag] = module
}

func (b *beginnings) get(tag [tagBytes]byte) (module [sha256.Size]byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	module, ok = b.modules[tag]
	return module, ok
}

// began notes which module an upload had.
func (c *Cache) began(text []byte, module [sha256.Size]byte) {
	if len(text) < BeginningBytes {
		return
	}
	if tag, err := c.tag(text[:BeginningBytes]); err == nil {
		c.beginnings.put(tag, module)
	}
}

// Foresee gives the action, without its binary, of the last upload whose text had these
// first [BeginningBytes]: what is arriving is the same, or another.
func (c *Cache) Foresee(beginning []byte) (Action, bool) {
	if c.precompiler == nil {
		return Action{}, false
	}
	tag, err := c.tag(beginning)
	if err != nil {
		return Action{}, false
	}
	module, ok := c.beginnings.get(tag)
	return Action{Hash: module}, ok
}
