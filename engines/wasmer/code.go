//go:build cgo && linux && amd64

package wasmer

/*
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/engines/internal/face"
)

// code is a binary as it is compiled, and what the rewriter has to say of it.
type code struct {
	*rewrite.Result
	rewrite.Interface // of the binary as it was
}

// prepare rewrites a binary: with a guard, with bounded tables and memory, and
// such that its instances can start from a snapshot.
func (r *Runtime) prepare(binary []byte, pages uint32) (code, error) {
	face, err := rewrite.InterfaceOf(binary)
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	hidden := !exportsMemory(face) // so that nobody but the engine can fill it
	result, err := rewrite.Rewrite(binary, rewrite.Options{
		TableElements: r.config.TableElements,
		MemoryPages:   pages,
		Guard:         true,
		Capture:       !hidden,
	})
	if large, ok := errors.AsType[*rewrite.MemoryError](err); ok && pages < engine.MaxPages {
		return code{}, &engine.LimitError{What: "memory", Unit: "pages", Limit: uint64(large.Limit), Wanted: uint64(large.Minimum)}
	}
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	if hidden {
		result.Globals, result.Uncaptured = nil, "its memory is not exported"
	}
	return code{result, face}, nil
}

func exportsMemory(face rewrite.Interface) bool {
	return slices.ContainsFunc(face.Exports, func(x rewrite.Export) bool { return x.Kind == rewrite.KindMemory })
}

// fixed says why instances cannot be captured and put back, nil if they can.
func (c code) fixed() error {
	if why := c.Unresettable + c.Uncaptured; why != "" {
		return fmt.Errorf("%w: %s", engine.ErrNotCapturable, why)
	}
	return nil
}

// imports fails for a module that imports anything but functions.
func (c code) imports() ([]engine.Import, error) {
	for _, i := range c.Imports {
		if i.Kind != rewrite.KindFunc {
			return nil, &engine.InvalidModuleError{Err: fmt.Errorf("it imports %s.%s, which is no function", i.Module, i.Name)}
		}
	}
	return face.Imports(c.Interface), nil
}

// kindOf is the API's name for a type of numbers; there is none for others.
func kindOf(t engine.ValueType) (kind C.wasm_valkind_t, number bool) {
	i := slices.Index([]engine.ValueType{engine.I32, engine.I64, engine.F32, engine.F64}, t)
	return C.wasm_valkind_t(max(i, 0)), i >= 0
}

// compiled is machine code for one bound of memory.
type compiled struct {
	code
	once  sync.Once
	err   error
	c     C.wm_module
	start state // without globals, which are the module's own
	funcs map[string]*engine.FuncType
	at    map[string]C.size_t // exports, where they are

	memory    C.size_t
	values    int // the most that any call takes or gives
	hasMemory bool
}

func (c *compiled) compile(r *Runtime) error {
	text := C.wm_compile((*C.char)(unsafe.Pointer(unsafe.SliceData(c.Binary))), C.size_t(len(c.Binary)), &c.c)
	if err := errorOf(text); err != nil {
		return &engine.InvalidModuleError{Err: err}
	}
	return c.link(r)
}

// link makes what is in the engine ready for instances.
func (c *compiled) link(r *Runtime) error {
	hosts, err := r.hostsOf(&c.c, c.Imports)
	if err != nil {
		C.wm_module_free(&c.c)
		return err
	}
	C.wm_define(&c.c, unsafe.SliceData(hosts))
	c.index()
	return nil
}

// hostsOf numbers the functions that the compiled module imports: those of the
// guest, and the guard's.
func (r *Runtime) hostsOf(m *C.wm_module, imports []rewrite.Import) ([]C.uint32_t, error) {
	var list C.wasm_importtype_vec_t
	C.wasm_module_imports(m.module, &list)
	defer C.wasm_importtype_vec_delete(&list)
	hosts := make([]C.uint32_t, 0, list.size+1)
	for _, t := range unsafe.Slice(list.data, list.size) {
		module, name := goName(C.wasm_importtype_module(t)), goName(C.wasm_importtype_name(t))
		n, err := r.host(module, name)
		if err == nil && n > 0 {
			err = checkSignatures(imports, r.hosts[n])
		}
		if err != nil {
			return nil, &engine.InvalidModuleError{Err: fmt.Errorf("%s.%s: %w", module, name, err)}
		}
		hosts = append(hosts, C.uint32_t(n))
	}
	return append(hosts, 0), nil // there is something to point to
}

// checkSignatures looks at all imports of one function.
func checkSignatures(imports []rewrite.Import, h host) error {
	for _, imp := range imports {
		got := face.FuncType(imp.Type)
		if imp.Module == h.module && imp.Name == h.name && !(slices.Equal(got.Params, h.kind.Params) && slices.Equal(got.Results, h.kind.Results)) {
			return errors.New("it is imported with another signature than it has")
		}
	}
	return nil
}

func goName(name *C.wasm_byte_vec_t) string { return C.GoStringN(name.data, C.int(name.size)) }

// index notes where the exports are, and lets go of the binary.
func (c *compiled) index() {
	c.funcs, c.at = map[string]*engine.FuncType{}, map[string]C.size_t{}
	for _, x := range c.Exports {
		if x.Kind == rewrite.KindFunc {
			t := face.FuncType(x.Type)
			c.funcs[x.Name] = t
			c.values = max(c.values, len(t.Params), len(t.Results))
		}
	}
	var list C.wasm_exporttype_vec_t
	C.wasm_module_exports(c.c.module, &list)
	defer C.wasm_exporttype_vec_delete(&list)
	for n, t := range unsafe.Slice(list.data, list.size) {
		c.at[goName(C.wasm_exporttype_name(t))] = C.size_t(n)
	}
	for _, x := range c.Exports {
		if x.Kind == rewrite.KindMemory {
			c.memory, c.hasMemory = c.at[x.Name], true
		}
	}
	result := *c.Result
	c.start = state{memory: result.InitialMemory(), pages: result.MemoryMin}
	result.Binary, result.Image = nil, nil
	c.Result = &result
}
