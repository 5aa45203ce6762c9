package sqlite

import (
	"sync"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// entityCache keeps actions and packages decoded, since each invocation looks
// them up. Only this process changes entities, so that what it drops when it
// writes is all that there is to drop. Triggers are not kept: they show rules,
// which change by themselves.
type entityCache struct {
	max int // bytes of documents

	mu      sync.RWMutex
	bytes   int
	written uint64 // how often something was
	writers int    // that are about to commit, or have and do not know it yet
	kept    map[whisk.FullyQualifiedName]cachedEntity
}

type cachedEntity struct {
	entity   whisk.Entity
	revision store.Revision
	bytes    int
}

func (c *entityCache) get(name whisk.FullyQualifiedName) (whisk.Entity, store.Revision, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.kept[name]
	return e.entity, e.revision, ok
}

// changes is to be asked before reading what is to be added.
func (c *entityCache) changes() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.written
}

// add keeps an entity, unless something was written since seen: then it may be
// old.
func (c *entityCache) add(e whisk.Entity, rev store.Revision, bytes int, seen uint64) {
	if kind := e.Kind(); kind != whisk.ActionEntity && kind != whisk.PackageEntity {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writers > 0 || c.written != seen || bytes > c.max {
		return
	}
	if c.kept == nil {
		c.kept = map[whisk.FullyQualifiedName]cachedEntity{}
	}
	c.makeRoomLocked(bytes)
	name := e.FullName()
	c.bytes += bytes - c.kept[name].bytes
	c.kept[name] = cachedEntity{entity: e, revision: rev, bytes: bytes}
}

// makeRoomLocked drops any: what is in use comes back with its next reader.
func (c *entityCache) makeRoomLocked(bytes int) {
	for name, e := range c.kept {
		if c.bytes+bytes <= c.max {
			return
		}
		delete(c.kept, name)
		c.bytes -= e.bytes
	}
}

// drop forgets what is about to be written. Until that is committed and release is
// called some read what is old and others what is new, and none of it is kept.
func (c *entityCache) drop(names []whisk.FullyQualifiedName) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers++
	for _, name := range names {
		c.bytes -= c.kept[name].bytes
		delete(c.kept, name)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.writers--
		c.written++
	}
}
