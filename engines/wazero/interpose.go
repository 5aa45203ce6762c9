package wazero

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"sync"

	"github.com/tetratelabs/wazero"
)

// mappingCache is where wazero reads code from and writes it to, in the place of its
// own for directories. It gives the code of artefacts that were offered, mapped, and
// keeps nothing.
type mappingCache struct {
	mu      sync.Mutex
	offered map[string]string // the artefacts' directories, by the names of their code
}

func (c *mappingCache) offer(name, dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offered[name] = dir
	return nil
}

func (c *mappingCache) withdraw(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.offered[name]
	delete(c.offered, name)
	return ok
}

// Get finds only what was offered.
func (c *mappingCache) Get(key [32]byte) (io.ReadCloser, bool, error) {
	c.mu.Lock()
	dir, ok := c.offered[hex.EncodeToString(key[:])]
	c.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	r, err := newCodeReader(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return r, true, nil
}

// Add notes that code was compiled.
func (c *mappingCache) Add(key [32]byte, _ io.Reader) error { return c.Delete(key) }

// Delete notes that code was not what it should be.
func (c *mappingCache) Delete(key [32]byte) error {
	c.withdraw(hex.EncodeToString(key[:]))
	return nil
}

// interpose has a cache of wazero's read what is offered, before a runtime is made
// with it. It is nil if it could not.
//
// This is the one place that relies on wazero's internals: that a cache has a field of
// that name for what keeps its code, an interface with three methods. Whether it is
// there, and takes ours, is looked at; all else that a mappingCache does is what an
// [io.Reader] may.
func interpose(cache wazero.CompilationCache) *mappingCache {
	v := reflect.Indirect(reflect.ValueOf(cache))
	if v.Kind() != reflect.Struct || !v.CanAddr() {
		return nil
	}
	field := v.FieldByName("fileCache")
	if !field.IsValid() || field.Kind() != reflect.Interface || !reflect.TypeFor[*mappingCache]().Implements(field.Type()) {
		return nil
	}
	field = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem() // as if it were exported
	c := &mappingCache{offered: map[string]string{}}
	field.Set(reflect.ValueOf(c))
	return c
}
