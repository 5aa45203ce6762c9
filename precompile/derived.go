package precompile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// Derived keeps what is made of one module beside the module's artefact, as
// directories under names: whole, compared with checksums before they are read, and
// evicted as artefacts are. It is safe for concurrent use.
type Derived struct {
	cache    *Cache
	hash     [sha256.Size]byte
	expected atomic.Pointer[expected]
}

// expected is a directory that is checked before it is read.
type expected struct {
	name    string
	taken   atomic.Bool
	checked chan struct{} // closed when opened is there
	opened  opened
}

// Derived gives the place for what is made of an action's module; nil where the
// module has no artefact.
func (c *Cache) Derived(action Action) *Derived {
	if c.precompiler == nil || action.Binary != nil && len(action.Binary) < c.smallBinary {
		return nil
	}
	return &Derived{cache: c, hash: action.Hash}
}

// Read has a function read the directory of a name, and tells whether that went well.
// A directory that is not sound, and one that the function has an error for, are
// removed, unless that is [engine.ErrNotNow].
func (d *Derived) Read(name string, read func(dir string) error) bool {
	return d.cache.read(context.Background(), d.open(name), read)
}

// open takes what is expected under a name, or else checks what is there now. No engine
// says when: it is not for Load.
func (d *Derived) open(name string) opened {
	if e := d.expected.Load(); e != nil && e.name == name && e.taken.CompareAndSwap(false, true) {
		<-e.checked
		return e.opened
	}
	return d.cache.openChecked(d.key(name), checkFirst)
}

// Expect checks the directory of a name, if there is one, beside what its caller does. The
// first Read of it need not, if it comes before done is called.
func (d *Derived) Expect(name string) (done func()) {
	key := d.key(name)
	if !d.cache.has(key) {
		return func() {}
	}
	e := &expected{name: name, checked: make(chan struct{})}
	d.expected.Store(e)
	go func() {
		defer close(e.checked)
		e.opened = d.cache.openChecked(key, checkFirst)
	}()
	return func() {
		<-e.checked
		if e.taken.CompareAndSwap(false, true) {
			d.cache.read(context.Background(), e.opened, func(string) error { return nil })
		}
	}
}

// Write keeps what a function writes into a directory, unless there is one of that
// name, or there is no artefact, or it is too much.
func (d *Derived) Write(name string, write func(dir string) error) {
	c := d.cache
	if c.paused() || !c.has(c.key(d.hash)) || c.has(d.key(name)) {
		return
	}
	temp := c.tempName()
	defer func() { _ = c.disk.removeAll(temp) }()
	err := c.fill(temp, write)
	if err == nil && diskSize(temp) > c.maxBytes/derivedShare {
		return
	}
	if err == nil {
		err = c.publish(temp, header{Key: d.key(name)})
	}
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		c.failed("keep what was made of a module", err)
	} else if err != nil {
		c.log.Warn("what was made of a module is not kept", "error", err)
	}
}

// derivedShare is which part of the cache a directory may take: 64 MiB of the default.
// The largest that a real guest made of its start had a tenth of that.
const derivedShare = 64

func (c *Cache) has(key string) bool {
	_, err := os.Lstat(filepath.Join(c.dir, key))
	return err == nil
}

// key is like that of no module.
func (d *Derived) key(name string) string {
	sum := sha256.Sum256(slices.Concat([]byte(d.cache.key(d.hash)), []byte{0}, []byte(name)))
	return hex.EncodeToString(sum[:])
}
