package enginetest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// varied has a little of everything, so that damage hits everything.
//
//go:embed testdata/varied.wat
var varied string

func (e *env) requireRefusedBinary(t *testing.T, binary []byte) {
	t.Helper()
	m, err := e.rt.Compile(t.Context(), binary)
	if err == nil {
		closeAtEnd(t, m)
	}
	requireInvalid(t, err, "Compile(%q)", binary)
}

func testMalformed(t *testing.T, e *env) {
	const header = "\x00asm\x01\x00\x00\x00"
	for name, binary := range map[string]string{
		"nothing":               "",
		"zeros":                 strings.Repeat("\x00", 100),
		"text":                  "(module)",
		"replaced characters":   "\x00asm\x01\x00\x00\x00\x01\uFFFD",
		"ELF":                   "\x7fELF\x02\x01\x01\x00",
		"zip":                   "PK\x03\x04",
		"magic only":            "\x00asm",
		"version 2":             "\x00asm\x02\x00\x00\x00",
		"component":             "\x00asm\x0d\x00\x01\x00",
		"half a section":        header + "\x01",
		"section too long":      header + "\x01\x05\x00",
		"section too short":     header + "\x03\x03\x01\x00",
		"unknown section":       header + "\x63\x01\x00",
		"sections out of order": header + "\x03\x01\x00\x01\x01\x00",
		"two type sections":     header + "\x01\x01\x00\x01\x01\x00",
		"code without function": header + "\x0a\x04\x01\x02\x00\x0b",
		"function without code": header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00",
		"trailing garbage":      header + "garbage",
		"endless number":        header + "\x01\x80\x80\x80\x80\x80\x80\x80",
	} {
		e.hostile(t, name, func(t *testing.T) { e.requireRefusedBinary(t, []byte(binary)) })
	}
}

func testInvalid(t *testing.T, e *env) {
	for _, fields := range []string{
		"(func i32.add drop)",
		"(func (result i32))",
		"(func (result i32) i64.const 1)",
		"(func i32.const 1)",
		"(func drop)",
		"(func local.get 0 drop)",
		"(func global.get 0 drop)",
		"(func (global.set 0 (i32.const 1))) (global i32 (i32.const 1))",
		"(func call 7)",
		"(func br 1)",
		"(func (type 9))",
		"(func (i32.load (i32.const 0)) drop)",
		"(func (call_indirect (i32.const 0)))",
		"(func ref.func 0 drop)",
		"(func $f (drop (ref.func 5)))",
		"(memory 1) (func (drop (i32.load align=8 (i32.const 0))))",
		"(memory 2 1)",
		"(memory 65537)",
		"(memory 1 65537)",
		"(memory 1) (memory 1)",
		"(table 2 1 funcref)",
		"(global i32 (i64.const 1))",
		"(global i32 (global.get 0))",
		"(start 0)",
		"(func (param i32)) (start 0)",
		"(func (result i32) i32.const 1) (start 0)",
		`(func) (export "a" (func 0)) (export "a" (func 0))`,
		`(export "a" (func 0))`,
		`(export "m" (memory 0))`,
		`(memory 1) (data (i64.const 0) "a")`,
		`(data (i32.const 0) "a")`,
		"(table 1 funcref) (elem (i32.const 0) 3)",
		"(elem (i32.const 0) 0) (func)",
		"(memory 1) (func (data.drop 0))",
		"(func (elem.drop 0))",
		`(import "test" "enter" (func (type 3)))`,
		// Beyond WebAssembly 2.0, and beyond the guard.
		"(memory 1 2 shared)",
		"(func $f return_call $f)",
	} {
		e.hostile(t, fields, func(t *testing.T) { e.requireRefusedBinary(t, wat.Must(fields)) })
	}
}

// testBeyond has what toolchains do not need, and what no engine shall bring along:
// proposals past WebAssembly 2.0, each in the smallest module.
func testBeyond(t *testing.T, e *env) {
	function := section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00")
	// After a branch, v128.const with an opcode of two bytes. To who reads the first only it is
	// i16x8.shr_s, and in the constant are an end, an endless loop, and the begin of a block.
	const constant = "\xfd\x8c\x00" + "\x0b\x03\x40\x0c\x00\x0b\x02\x40\x01\x01\x01\x01\x01\x01\x01\x00"
	code := func(body string) string {
		return section(10, "\x01"+string(rune(len(body)+2))+"\x00"+body+"\x0b")
	}
	for name, sections := range map[string]string{
		"memory of 64 bits":     section(5, "\x01\x04\x01"),
		"shared memory":         section(5, "\x01\x03\x01\x02"),
		"two memories":          section(5, "\x02\x00\x01\x00\x01"),
		"memory of two bytes":   function + section(5, "\x01\x00\x01") + code("\x41\x00\x41\x00\x41\x00\xfc\x0b\x80\x00"),
		"small pages":           section(5, "\x01\x08\x01\x00"),
		"table of 64 bits":      section(4, "\x01\x70\x04\x01"),
		"exceptions":            section(1, "\x01\x60\x00\x00") + section(13, "\x01\x00\x00"),
		"recursive types":       section(1, "\x01\x4e\x01\x60\x00\x00"),
		"structures":            section(1, "\x01\x5f\x00"),
		"typed references":      section(1, "\x02\x60\x00\x00\x60\x01\x64\x00\x00"),
		"block of a reference":  function + code("\x02\x63\x00\x00\x0b\x1a"),
		"block of one not null": function + code("\x02\x64\x00\x00\x0b\x1a"),
		"a loop in a constant":  function + code("\x02\x40\x0c\x00"+constant+"\x1a\x0b"),
		"a type of two bytes":   function + section(6, "\x01\x70\x00\xd0\x80\x00\x0b"),
		"a tail call":           function + code("\x12\x00"),
		"a tail call, indirect": section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(4, "\x01\x70\x00\x01") + code("\x41\x00\x13\x00\x00"),
		"a catch":               function + code("\x1f\x40\x00\x0b"),
		"atomics":               function + section(5, "\x01\x00\x01") + code("\xfe\x03\x00"),
		"relaxed vectors":       function + code("\x41\x00\xfd\x0f\x41\x00\xfd\x0f\xfd\x80\x02\x1a"),
		"wide arithmetic":       function + code("\x42\x00\x42\x00\xfc\x15\x1a\x1a"),
	} {
		e.hostile(t, name, func(t *testing.T) {
			e.requireRefusedBinary(t, []byte("\x00asm\x01\x00\x00\x00"+sections))
		})
	}
	e.hostile(t, "a component", func(t *testing.T) { e.requireRefusedBinary(t, []byte("\x00asm\x0d\x00\x01\x00")) })
}

// testLies has counts and sizes for which a trusting decoder allocates more
// than the machine has.
func testLies(t *testing.T, e *env) {
	const most = "\xff\xff\xff\xff\x0f"
	function := section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00")
	for name, sections := range map[string]string{
		"types":            section(1, most),
		"parameters":       section(1, "\x01\x60"+most),
		"imports":          section(2, most),
		"size of a name":   section(2, "\x01"+most),
		"functions":        section(3, most),
		"tables":           section(4, most),
		"globals":          section(6, most),
		"exports":          section(7, most),
		"elements":         section(9, most),
		"indices":          section(4, "\x01\x70\x00\x01") + section(9, "\x01\x00\x41\x00\x0b"+most),
		"bodies":           section(10, most),
		"size of a body":   function + section(10, "\x01"+most),
		"kinds of locals":  function + section(10, "\x01\x07"+most+"\x7f\x0b"),
		"locals":           function + section(10, "\x01\x08\x01"+most+"\x7f\x0b"),
		"targets":          function + section(10, "\x01\x0b\x00\x41\x00\x0e"+most+"\x00\x0b"),
		"data segments":    section(11, most),
		"size of data":     section(5, "\x01\x00\x01") + section(11, "\x01\x01"+most),
		"custom section":   section(0, most),
		"custom too short": "\x00" + most + "\x01a",
	} {
		e.hostile(t, name, func(t *testing.T) {
			e.requireRefusedBinary(t, []byte("\x00asm\x01\x00\x00\x00"+sections))
		})
	}
}

func section(id byte, content string) string { return fmt.Sprintf("%c%c%s", id, len(content), content) }

func testPrefixes(t *testing.T, e *env) {
	binary := wat.Must(varied)
	for n := range binary {
		e.survives(t, binary[:n:n])
	}
}

func testBitFlips(t *testing.T, e *env) {
	binary := wat.Must(varied)
	step := 1
	if testing.Short() {
		step = 5 // each bit of some bytes or other
	}
	for i := 0; i < len(binary)*8; i += step {
		flipped := append([]byte(nil), binary...)
		flipped[i/8] ^= 1 << (i % 8)
		e.survives(t, flipped)
	}
}

// survives runs what may be a module to whatever end.
func (e *env) survives(t *testing.T, binary []byte) {
	t.Helper()
	m, err := e.rt.Compile(t.Context(), binary)
	if err != nil {
		requireInvalid(t, err, "Compile(%x)", binary)
		return
	}
	defer m.Close(t.Context())
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	instance, err := m.Instantiate(ctx, engine.Limits{MemoryPages: 10})
	if err == nil {
		_, err = instance.Call(ctx, "f", argumentsOf(m, "f")...)
		require.NoError(t, instance.Close(t.Context()))
	}
	requireKnown(t, err, binary)
}

// argumentsOf is as many numbers as the function takes.
func argumentsOf(m engine.Module, name string) []uint64 {
	for _, x := range m.Exports() {
		if x.Name == name && x.Type != nil {
			return slices.Repeat([]uint64{3}, len(x.Type.Params))
		}
	}
	return nil
}

// requireKnown wants an error that the contract knows.
func requireKnown(t *testing.T, err error, binary []byte) {
	t.Helper()
	_, trap := errors.AsType[*engine.TrapError](err)
	_, invalid := errors.AsType[*engine.InvalidModuleError](err)
	_, limit := errors.AsType[*engine.LimitError](err)
	_, exit := errors.AsType[*engine.ExitError](err)
	_, bounds := errors.AsType[*engine.BoundsError](err)
	known := err == nil || trap || invalid || limit || exit || bounds ||
		errors.Is(err, engine.ErrNoExport) || errors.Is(err, errHost) || errors.Is(err, context.DeadlineExceeded)
	require.True(t, known, "%x ended with %v (%T)", binary, err, err)
}

// testSegments has segments that do not fit. Whether an engine sees that as a
// trap or as a module that cannot be linked is its own affair.
func testSegments(t *testing.T, e *env) {
	for _, fields := range []string{
		`(memory 1) (data (i32.const 65535) "ab")`,
		`(memory 1) (data (i32.const -1) "a")`,
		`(memory 0) (data (i32.const 0) "a")`,
		`(memory 1) (data (i32.const 65537) "")`,
		`(table 1 funcref) (elem (i32.const 1) 0) (func)`,
		`(table 1 funcref) (elem (i32.const -1) 0) (func)`,
		`(table 1 funcref) (elem (i32.const 2)) (func)`,
		`(table 1 funcref) (table $t 2 funcref) (elem (table $t) (i32.const 1) func 0 0) (func)`,
	} {
		e.hostile(t, fields, func(t *testing.T) {
			err := e.linked(t, fields)
			_, trap := errors.AsType[*engine.TrapError](err)
			_, invalid := errors.AsType[*engine.InvalidModuleError](err)
			assert.True(t, trap || invalid, "outcome = %v, want a TrapError or an InvalidModuleError", err)
		})
	}
}

func testLists(t *testing.T, e *env) {
	m := e.module(t, `(type $t (func (param i32 i64 f32 f64 funcref externref) (result i32 i64)))
		(import "a" "z" (func $z (type $t)))
		(import "b" "" (func (param v128)))
		(import "a" "é" (func))
		(memory (export "mem") 1) (table (export "tab") 1 funcref) (global (export "glo") i32 (i32.const 1))
		(func (export "f") (export "g") (param f64) (result externref) ref.null extern)
		(func (export "")) (func $hidden) (export "imported" (func $z))`)
	every := &engine.FuncType{
		Params:  types(engine.I32, engine.I64, engine.F32, engine.F64, engine.FuncRef, engine.ExternRef),
		Results: types(engine.I32, engine.I64),
	}
	nothing := engine.FuncType{Params: types(), Results: types()}
	assert.Equal(t, []engine.Import{
		{Module: "a", Name: "z", Type: *every},
		{Module: "b", Name: "", Type: engine.FuncType{Params: types(engine.V128), Results: types()}},
		{Module: "a", Name: "é", Type: nothing},
	}, normalised(m.Imports()))
	f := &engine.FuncType{Params: types(engine.F64), Results: types(engine.ExternRef)}
	assert.ElementsMatch(t, []engine.Export{
		{Name: "mem"}, {Name: "f", Type: f}, {Name: "g", Type: f}, {Name: "", Type: &nothing}, {Name: "imported", Type: every},
	}, normalisedExports(m.Exports()))
	assert.Positive(t, m.Size())

	empty := e.module(t, "")
	assert.Empty(t, empty.Imports())
	assert.Empty(t, empty.Exports())
}

// normalised makes nil and empty lists of types the same.
func normalised(imports []engine.Import) []engine.Import {
	var out []engine.Import
	for _, i := range imports {
		i.Type = normalisedType(i.Type)
		out = append(out, i)
	}
	return out
}

func normalisedExports(exports []engine.Export) []engine.Export {
	var out []engine.Export
	for _, x := range exports {
		if x.Type != nil {
			t := normalisedType(*x.Type)
			x.Type = &t
		}
		out = append(out, x)
	}
	return out
}

func normalisedType(t engine.FuncType) engine.FuncType {
	return engine.FuncType{Params: append(types(), t.Params...), Results: append(types(), t.Results...)}
}

// linked compiles and instantiates, and gives the first error.
func (e *env) linked(t *testing.T, fields string) error {
	t.Helper()
	m, err := e.rt.Compile(t.Context(), wat.Must(fields))
	if err != nil {
		return err
	}
	closeAtEnd(t, m)
	instance, err := m.Instantiate(t.Context(), engine.Limits{})
	if err != nil {
		return err
	}
	closeAtEnd(t, instance)
	return nil
}

// requireNotLinked wants the module to be refused before it runs.
func (e *env) requireNotLinked(t *testing.T, fields string) {
	t.Helper()
	requireInvalid(t, e.linked(t, fields), "linking %s", fields)
}

func testMissingImports(t *testing.T, e *env) {
	for _, fields := range []string{
		`(import "nowhere" "enter" (func))`,
		`(import "test" "nothing" (func))`,
		`(import "" "" (func))`,
		`(import "test" "enter" (func (param i32)))`,
		`(import "test" "enter" (func (result i32)))`,
		`(import "test" "yield" (func (param i32) (result i64)))`,
		`(import "test" "yield" (func (param i64) (result i32)))`,
		`(import "test" "yield" (func))`,
		`(import "test" "enter" (func)) (import "test" "ENTER" (func))`,
		`(import "test\00" "enter" (func))`,
		`(import "env" "memory" (func))`,
	} {
		e.hostile(t, fields, func(t *testing.T) { e.requireNotLinked(t, fields) })
	}
}

func testOtherImports(t *testing.T, e *env) {
	for _, fields := range []string{
		`(import "test" "memory" (memory 1))`,
		`(import "test" "table" (table 1 funcref))`,
		`(import "test" "global" (global i32))`,
		`(import "test" "enter" (memory 1))`,
		`(import "test" "enter" (global (mut i32)))`,
		`(import "env" "memory" (memory 0))`,
	} {
		e.hostile(t, fields, func(t *testing.T) { e.requireNotLinked(t, fields) })
	}
}

func testMissingExports(t *testing.T, e *env) {
	instance := e.instance(t, `(memory (export "mem") 1) (table (export "tab") 1 funcref)
		(global (export "glo") i32 (i32.const 1)) (func $hidden) (func (export "f"))`)
	for _, name := range []string{"", "F", "f\x00", "hidden", "$hidden", "mem", "tab", "glo"} {
		_, err := instance.Call(t.Context(), name)
		assert.ErrorIs(t, err, engine.ErrNoExport, "Call(%q)", name)
	}
	_, err := instance.Call(t.Context(), "f")
	assert.NoError(t, err, "the instance is not spent by that")
}

// testNames has modules that call themselves something in their name section:
// the same, or what host functions are imported from.
func testNames(t *testing.T, e *env) {
	named := func(name string) string {
		return fmt.Sprintf(`(@custom "name" "\00\%02x\%02x%s")`, len(name)+1, len(name), name)
	}
	squatter := e.module(t, `(func (export "enter")) (func (export "yield") (param i64) (result i64) i64.const 666)`+named("test"))
	instantiate(t, squatter, engine.Limits{})
	instantiate(t, squatter, engine.Limits{})

	other := e.instance(t, imports+`(func (export "f") (result i32) (i32.wrap_i64 (call $yield (i64.const 5))))`+named("test"))
	assert.EqualValues(t, 5, call(t, other, "f"), "the host's function")

	instantiate(t, e.module(t, `(func (export "f"))`+named("a")), engine.Limits{})
	e.requireNotLinked(t, `(import "a" "f" (func))`)
	instantiate(t, e.module(t, `(func (export "f"))`+named("")), engine.Limits{})
	e.requireNotLinked(t, `(import "" "f" (func))`)

	const most = `\ff\ff\ff\ff\0f`
	for _, wrong := range []string{`\01\05` + most, `\02\07\01\00` + most, `\00\02\01\ff`, `\01\04\01\00\01\ff`, `\01`} {
		i := e.instance(t, `(func (export "f") (result i32) (i32.const 7)) (@custom "name" "`+wrong+`")`)
		assert.EqualValues(t, 7, call(t, i, "f"), "names %s", wrong)
	}
}

// runVaried calls the function of varied once, and closes its module.
func runVaried(ctx context.Context, m engine.Module) error {
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	results, err := instance.Call(ctx, "f", 3)
	if err == nil && results[0] != variedOf3 {
		err = fmt.Errorf("f(3) = %d, want %d", results[0], variedOf3)
	}
	return errors.Join(err, instance.Close(ctx), m.Close(ctx))
}

func testConcurrentCompile(t *testing.T, e *env) {
	binary := wat.Must(varied)
	errs := atOnce(20, func(int) error {
		m, err := e.rt.Compile(t.Context(), binary)
		if err != nil {
			return err
		}
		return runVaried(t.Context(), m)
	})
	assert.NoError(t, errors.Join(errs...))
}

// testModuleClosed closes modules of one binary while others and their
// instances go on.
func testModuleClosed(t *testing.T, e *env) {
	binary := wat.Must(varied)
	first, err := e.rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	second, err := e.rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	instance := instantiate(t, first, engine.Limits{})
	require.NoError(t, first.Close(t.Context()))
	assert.EqualValues(t, variedOf3, call(t, instance, "f", 3), "instance of a closed module")

	later := instantiate(t, second, engine.Limits{})
	assert.EqualValues(t, variedOf3, call(t, later, "f", 3), "instance made after a twin was closed")
	require.NoError(t, second.Close(t.Context()))
	assert.EqualValues(t, variedOf3, call(t, instance, "f", 3))
	assert.EqualValues(t, variedOf3, call(t, later, "f", 3))
}

func testCloseTwice(t *testing.T, e *env) {
	rt, err := e.open(t.Context(), e.config)
	require.NoError(t, err)
	m, err := rt.Compile(t.Context(), wat.Must(varied))
	require.NoError(t, err)
	instance, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	for range 2 {
		assert.NoError(t, instance.Close(t.Context()), "of an instance")
	}
	for range 2 {
		assert.NoError(t, m.Close(t.Context()), "of a module")
	}
	for range 2 {
		assert.NoError(t, rt.Close(t.Context()), "of an engine")
	}
}
