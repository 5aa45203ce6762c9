//go:build cgo && linux && amd64

package wasmtime

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"strings"
	"sync/atomic"
	"unsafe"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// globals are the mutable globals of a module, as the shim wants them.
type globals struct {
	names string // one after the other
	sizes []C.uint32_t
	kinds []C.uint8_t

	// initial are the values that every instance of the module starts with,
	// known from the first one.
	initial atomic.Pointer[[]C.uint64_t]
}

func newGlobals(all []rewrite.Global) *globals {
	g := new(globals)
	var names strings.Builder
	for _, x := range all {
		kind, _ := kindOf(engine.ValueType(x.Type))
		names.WriteString(x.Export)
		g.sizes = append(g.sizes, C.uint32_t(len(x.Export)))
		g.kinds = append(g.kinds, kind)
	}
	g.names = names.String()
	return g
}

// startGlobals finds the globals that are part of the instance's state, and
// gives them the values of the state that it starts in.
func (i *instance) startGlobals() error {
	g := i.module.globals
	if len(g.kinds) == 0 || i.module.code.fixed != "" {
		return nil
	}
	names, _ := chars(g.names)
	if !bool(C.ww_find_globals(i.c, names, unsafe.SliceData(g.sizes), C.size_t(len(g.sizes)))) {
		return errors.New("instantiate: a global is missing")
	}
	if i.from.globals != nil {
		i.writeGlobals(i.from.globals)
		return nil
	}
	if g.initial.Load() == nil {
		values := i.readGlobals()
		g.initial.Store(&values)
	}
	i.from.globals = *g.initial.Load()
	return nil
}

func (i *instance) readGlobals() []C.uint64_t {
	values := make([]C.uint64_t, len(i.module.globals.kinds))
	if len(values) > 0 {
		C.ww_get_globals(i.c, unsafe.SliceData(values), C.size_t(len(values)))
	}
	return values
}

func (i *instance) writeGlobals(values []C.uint64_t) {
	if len(values) > 0 {
		C.ww_set_globals(i.c, unsafe.SliceData(i.module.globals.kinds), unsafe.SliceData(values), C.size_t(len(values)))
	}
}
