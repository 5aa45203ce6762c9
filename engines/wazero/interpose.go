package wazero

import (
	"io"
	"os"
	"reflect"

	"github.com/tetratelabs/wazero"
)

// fileCache is what wazero reads code from and writes it to, of which it has an
// implementation for directories.
type fileCache interface {
	Get(key [32]byte) (content io.ReadCloser, ok bool, err error)
	Add(key [32]byte, content io.Reader) error
	Delete(key [32]byte) error
}

// mappingCache gives the code files that another one finds.
type mappingCache struct{ fileCache }

func (c mappingCache) Get(key [32]byte) (io.ReadCloser, bool, error) {
	content, ok, err := c.fileCache.Get(key)
	f, isFile := content.(*os.File)
	if err != nil || !ok || !isFile {
		return content, ok, err
	}
	r, err := newCodeReader(f)
	if err != nil {
		return nil, false, err
	}
	return r, true, nil
}

// interpose has a cache of wazero's that has a directory read code files, before
// a runtime is made with it, and tells whether it could.
//
// This is the one place that relies on wazero's internals: that a cache keeps an
// implementation of fileCache in a field of that name. Whether it is there, and
// takes ours, is looked at; all else that a mappingCache does is what an
// [io.Reader] may.
func interpose(cache wazero.CompilationCache) bool {
	v := reflect.Indirect(reflect.ValueOf(cache))
	if v.Kind() != reflect.Struct || !v.CanAddr() {
		return false
	}
	field := v.FieldByName("fileCache")
	if !field.IsValid() || field.Kind() != reflect.Interface || !reflect.TypeFor[mappingCache]().Implements(field.Type()) {
		return false
	}
	field = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem() // as if it were exported
	inner, ok := reflect.TypeAssert[fileCache](field)
	if ok {
		field.Set(reflect.ValueOf(mappingCache{inner}))
	}
	return ok
}
