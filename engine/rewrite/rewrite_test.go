package rewrite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// uncommon has something of everything that is not in a function body.
const uncommon = `(module
	(type (func (param i32 i64 f32 f64 funcref externref) (result i32 i32)))
	(import "m" "f" (func $f (type 0)))
	(import "m" "t" (table 1 2 externref))
	(import "m" "mem" (memory 1 2))
	(import "m" "g" (global $g (mut i32)))
	(table $t 5 funcref)
	(table 1 externref)
	(global i64 (i64.const -1))
	(global (mut f32) (f32.const 1))
	(global f64 (f64.const 1))
	(global funcref (ref.func $f))
	(global externref (ref.null extern))
	(global i32 (global.get $g))
	(export "f" (func $f)) (export "t" (table $t)) (export "g" (global $g)) (export "m" (memory 0))
	(elem (table $t) (i32.const 0) func $f) (elem (table $t) (i32.const 0) funcref (ref.func $f))
	(elem func $f) (elem funcref (ref.null func)) (elem declare func $f) (elem declare funcref (ref.func $f))
	(data (i32.const 0) "a") (data "b")
	(func $s (local i32 i64 i64) (data.drop 0)) (start $s)
	(@custom "other" "anything")
	(@custom "name" "\00\02\01m" "\01\04\01\00\01f" "\02\06\01\00\01\00\01x" "\07\01x"))`

func TestClampTables(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ source, want string }{
		"no table":             {"(memory 1)", "(memory 1)"},
		"no maximum":           {"(table 1 funcref)", "(table 1 10 funcref)"},
		"larger maximum":       {"(table 1 11 funcref)", "(table 1 10 funcref)"},
		"largest maximum":      {"(table 0 0xffffffff externref)", "(table 0 10 externref)"},
		"equal maximum":        {"(table 1 10 funcref)", "(table 1 10 funcref)"},
		"smaller maximum":      {"(table 1 9 funcref)", "(table 1 9 funcref)"},
		"minimum at the limit": {"(table 10 funcref)", "(table 10 10 funcref)"},
		"minimum over maximum": {"(table 20 15 funcref)", "(table 20 15 funcref)"},
		"several tables": {
			"(table 1 funcref) (table 2 3 externref) (table 4 40 funcref) (memory 1)",
			"(table 1 10 funcref) (table 2 3 externref) (table 4 10 funcref) (memory 1)",
		},
		"an invalid one among others": {"(table 1 funcref) (table 2 1 funcref)", "(table 1 10 funcref) (table 2 1 funcref)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			binary := wat.Must(tc.source)
			got, err := rewrite.ClampTables(binary, 10)
			require.NoError(t, err)
			assert.Equal(t, wat.Must(tc.want), got)
			if tc.source == tc.want {
				assert.Same(t, &binary[0], &got[0], "the binary itself")
			}
		})
	}
}

func TestClampTablesKeepsTheRest(t *testing.T) {
	t.Parallel()
	got, err := rewrite.ClampTables(wat.Must(uncommon), 10)
	require.NoError(t, err)
	want := bytes.Replace(wat.Must(uncommon), []byte("\x70\x00\x05\x6f\x00\x01"), []byte("\x70\x01\x05\x0a\x6f\x01\x01\x0a"), 1)
	tables := bytes.Index(want, []byte("\x04\x07\x02\x70\x01\x05\x0a"))
	require.Positive(t, tables)
	want[tables+1] = 9
	assert.Equal(t, want, got)
}

func TestElementSegments(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"(table 1 funcref) (elem (i32.const 0) 0) (func)":                             "",
		"(table 1 funcref) (elem (i32.const 1)) (func)":                               "",
		"(table 200 funcref) (elem (i32.const 199) 0) (func)":                         "",
		"(table 1 funcref) (elem func 0 0) (func)":                                    "",
		"(table 1 funcref) (table 2 funcref) (elem (table 1) (i32.const 1) func 0)":   "",
		"(elem (i32.const 5) 0) (func)":                                               "",
		"(table 1 funcref) (elem (i32.const 1) 0) (func)":                             "ends at 2, its table has 1",
		"(table 1 funcref) (elem (i32.const 0) 0 0) (func)":                           "ends at 2, its table has 1",
		"(table 1 funcref) (elem (i32.const 2)) (func)":                               "ends at 2, its table has 1",
		"(table 1 funcref) (elem (i32.const -1) 0) (func)":                            "ends at 4294967296, its table has 1",
		"(table 63 funcref) (elem (i32.const 64) 0) (func)":                           "ends at 65, its table has 63",
		"(table 1 funcref) (elem (i32.const 1) funcref (ref.null func))":              "ends at 2, its table has 1",
		"(table 9 funcref) (table 1 funcref) (elem (table 1) (i32.const 1) func 0)":   "ends at 2, its table has 1",
		`(import "m" "t" (table 9 funcref)) (table 1 funcref) (elem (i32.const 9) 0)`: "",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			_, err := rewrite.ClampTables(wat.Must(source), 1000)
			if want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, want)
		})
	}
}

func TestTableBeyondTheLimit(t *testing.T) {
	t.Parallel()
	for source, minimum := range map[string]uint32{
		"(table 11 funcref)":                           11,
		"(table 11 12 funcref)":                        11,
		"(table 1 funcref) (table 4000000000 funcref)": 4000000000,
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			_, err := rewrite.ClampTables(wat.Must(source), 10)
			tooLarge, ok := errors.AsType[*rewrite.TableError](err)
			require.True(t, ok, "ClampTables(%s) = %v, want a TableError", source, err)
			assert.Equal(t, rewrite.TableError{Minimum: minimum, Limit: 10}, *tooLarge)
		})
	}
}

func TestEveryPrefixIsMalformed(t *testing.T) {
	t.Parallel()
	binary := wat.Must(uncommon)
	ends := sectionEnds(binary)
	for n := range len(binary) {
		got, err := rewrite.ClampTables(binary[:n:n], math.MaxUint32)
		if ends[n] {
			require.NoError(t, err, "prefix of %d bytes, which ends with a section", n)
			continue
		}
		_, ok := errors.AsType[*rewrite.FormatError](err)
		require.True(t, ok, "ClampTables(first %d bytes) = %x, %v, want a FormatError", n, got, err)
	}
}

func sectionEnds(module []byte) map[int]bool {
	ends := map[int]bool{8: true}
	for i := 8; i < len(module); {
		size, n := binary.Uvarint(module[i+1:])
		i += 1 + n + int(size)
		ends[i] = true
	}
	return ends
}

// TestLies feeds counts and sizes for which a trusting decoder would allocate
// gigabytes.
func TestLies(t *testing.T) {
	t.Parallel()
	const most = "\xff\xff\xff\xff\x0f"
	body := func(locals string) string {
		return module(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(10, "\x01"+locals)
	}
	for name, lie := range map[string]struct{ binary, reason string }{
		"section size":            {module(3, "\x00") + "\x01" + most, "4294967295 bytes announced"},
		"types":                   {module(1, most), "4294967295 types announced"},
		"parameters":              {module(1, "\x01\x60"+most), "4294967295 parameters announced"},
		"results":                 {module(1, "\x01\x60\x00"+most), "4294967295 results announced"},
		"imports":                 {module(2, most), "4294967295 imports announced"},
		"size of a name":          {module(2, "\x01"+most), "4294967295 bytes announced"},
		"functions":               {module(3, most), "4294967295 functions announced"},
		"tables":                  {module(4, most), "4294967295 tables announced"},
		"memories":                {module(5, most), "4294967295 memories announced"},
		"globals":                 {module(6, most), "4294967295 globals announced"},
		"exports":                 {module(7, most), "4294967295 exports announced"},
		"size of an export":       {module(7, "\x01"+most+"abc"), "bytes announced, 3 left"},
		"element segments":        {module(9, most), "4294967295 element segments announced"},
		"indices":                 {module(9, "\x01\x00\x41\x00\x0b"+most), "4294967295 elements announced"},
		"element expressions":     {module(9, "\x01\x05\x70"+most), "4294967295 elements announced"},
		"bodies":                  {module(10, most), "4294967295 bodies announced"},
		"size of a body":          {body(most + "\x00\x0b"), "4294967295 bytes announced"},
		"kinds of locals":         {body("\x05" + most), "4294967295 kinds of locals announced"},
		"locals of one kind":      {body("\x08\x01" + most + "\x7f\x0b"), "4294967295 locals exceed the limit"},
		"locals of two kinds":     {body("\x0a\x02\xa8\xc3\x01\x7f\xa9\xc3\x01\x7e\x0b"), "50001 locals exceed the limit"},
		"data segments":           {module(11, most), "4294967295 data segments announced"},
		"size of data":            {module(11, "\x01\x01"+most), "4294967295 bytes announced"},
		"custom section":          {module(0, most), "4294967295 bytes announced"},
		"name that is no text":    {module(0, "\x01\xff"), "a name is not UTF-8"},
		"bytes after a section":   {module(3, "\x00\x00"), "1 bytes too many"},
		"too long a number":       {module(8, "\x80\x80\x80\x80\x80\x00"), "number exceeds 32 bits"},
		"more than 32 bits":       {module(8, "\xff\xff\xff\xff\x10"), "number exceeds 32 bits"},
		"two-byte reference type": {module(4, "\x01\x63\x70\x00\x01"), "unknown value type 0x63"},
		"type that goes on":       {module(6, "\x01\x70\x00\xd0\x80\x0b"), "unknown value type 0x80"},
		"table with initialiser":  {module(4, "\x01\x40\x00\x70\x00\x01\xd0\x70\x0b"), "unknown value type 0x40"},
		"limits of 64 bits":       {module(5, "\x01\x04\x01"), "unknown kind of limits 0x4"},
		"constant expression":     {module(6, "\x01\x7f\x00\x20\x00\x0b"), "instruction 0x20 in a constant expression"},
		"endless constant":        {module(6, "\x01\x7f\x00\x41\x80\x80\x80\x80\x80\x00\x0b"), "number too long"},
		"unknown section":         {module(14, ""), "unknown section 14"},
		"unknown import":          {module(2, "\x01\x00\x00\x04\x00\x00"), "unknown kind of import 0x4"},
		"form of a type":          {module(1, "\x01\x5f\x00"), "unknown form of type 0x5f"},
		"form of an element":      {module(9, "\x01\x08\x00"), "unknown form of element segment 8"},
		"form of data":            {module(11, "\x01\x03\x00"), "unknown form of data segment 3"},
		"version 2":               {"\x00asm\x02\x00\x00\x00", "no WebAssembly module of version 1"},
		"component":               {"\x00asm\x0d\x00\x01\x00", "no WebAssembly module of version 1"},
		"empty":                   {"", "no WebAssembly module of version 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rewrite.ClampTables([]byte(lie.binary), 10)
			_, ok := errors.AsType[*rewrite.FormatError](err)
			require.True(t, ok, "ClampTables(%q) = %x, %v, want a FormatError", lie.binary, got, err)
			assert.ErrorContains(t, err, lie.reason)
		})
	}
}

// What is wrong in a custom section makes no module invalid; an engine may think otherwise,
// or allocate what names announce.
func TestNamesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const most = "\xff\xff\xff\xff\x0f"
	const good = "\x04name\x01\x04\x01\x00\x01f"
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	code := section(3, "\x01\x00") + section(10, "\x01\x02\x00\x0b")
	for name, custom := range map[string]string{
		"function names":          section(0, "\x04name\x01\x05"+most),
		"functions with locals":   section(0, "\x04name\x02\x05"+most),
		"local names":             section(0, "\x04name\x02\x07\x01\x00"+most),
		"names beyond subsection": section(0, "\x04name\x00\x01\x05abcde"),
		"module's is no text":     section(0, "\x04name\x00\x02\x01\xff"),
		"function's is no text":   section(0, "\x04name\x01\x04\x01\x00\x01\xff"),
		"of a size beyond":        section(0, "\x04name\x01\x09"),
		"good after bad":          section(0, "\x04name\x01") + section(0, good),
		"bad after good":          section(0, good) + section(0, "\x04name\x01"),
		"twice":                   section(0, good) + section(0, good),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := module(1, "\x01\x60\x00\x00") + code
			binary := plain + custom
			assert.Equal(t, plain, string(rewrite.Plain([]byte(binary))))
			result, err := rewrite.Rewrite([]byte(binary), rewrite.Options{})
			require.NoError(t, err)
			assert.Equal(t, strings.Contains(custom, good), bytes.Contains(result.Binary, []byte(good)))
			skeleton, err := rewrite.Skeleton([]byte(binary), nil)
			require.NoError(t, err)
			for _, made := range [][]byte{result.Binary, skeleton} {
				assert.NoError(t, valid(t.Context(), r, made), "%q", made)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	custom, memory := section(0, "\x01a"), section(5, "\x00")
	for binary, want := range map[string]string{
		module(1, "\x00"):                                module(1, "\x00"),
		module(1, "\x00") + custom + memory:              module(1, "\x00") + memory,
		module(0, "\x01a") + section(1, "\x00") + custom: module(1, "\x00"),
		module(0, "\x01a") + section(0, "") + custom:     "\x00asm\x01\x00\x00\x00",
		module(1, "\x00") + custom + "\x05\x06short":     module(1, "\x00") + custom + "\x05\x06short",
		"":        "",
		"\x00asm": "\x00asm",
	} {
		assert.Equal(t, want, string(rewrite.Plain([]byte(binary))), "%q", binary)
	}
}

func module(id byte, content string) string { return "\x00asm\x01\x00\x00\x00" + section(id, content) }

func section(id byte, content string) string {
	return fmt.Sprintf("%c%c%s", id, len(content), content)
}

// Hosts repeat names in what they say of a module.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`(module (import "%s" "f" (func)))`, `(module (import "m" "%s" (func)))`, `(module (func (export "%s")))`,
		`(module (@custom "%s" ""))`,
	} {
		for n, want := range map[int]string{100_000: "", 100_001: "a name of 100001 bytes exceeds the limit of 100000"} {
			_, err := rewrite.ClampTables(wat.Must(fmt.Sprintf(source, strings.Repeat("n", n))), 10)
			if want == "" {
				assert.NoError(t, err, source)
			} else {
				assert.ErrorContains(t, err, want, source)
			}
		}
	}
}

func TestManyTypes(t *testing.T) {
	t.Parallel()
	oneType := "(type (func (param" + strings.Repeat(" i32", 1000) + ")))"
	_, err := rewrite.ClampTables(wat.Must("(module "+strings.Repeat(oneType, 260)+")"), 10)
	require.NoError(t, err)
	_, err = rewrite.ClampTables(wat.Must("(module "+strings.Repeat(oneType, 262)+")"), 10)
	assert.ErrorContains(t, err, "exceed the limit of 262144")
}

func TestManyLocalsUpToTheLimit(t *testing.T) {
	t.Parallel()
	const most = "\xd0\x86\x03" // 50,000
	binary := module(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(10, "\x01\x07\x01"+most+"\x7f\x0b\x0b")
	_, err := rewrite.ClampTables([]byte(binary), 10)
	assert.NoError(t, err)
}

// FuzzClampTables holds the walker against an engine: what passes the walker is
// valid afterwards exactly if it was before, and has nothing left to clamp.
func FuzzClampTables(f *testing.F) {
	for _, source := range []string{"", uncommon, "(table 1 funcref) (table 5 2 funcref)", "(table 0xffffffff funcref)"} {
		f.Add(wat.Must(source), uint32(10))
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, binary []byte, limit uint32) {
		before := bytes.Clone(binary)
		got, err := rewrite.ClampTables(binary, limit)
		if !bytes.Equal(before, binary) {
			t.Fatalf("ClampTables(%x, %d) changed its argument to %x", before, limit, binary)
		}
		if err != nil {
			return
		}
		if again, err := rewrite.ClampTables(got, limit); err != nil || !bytes.Equal(again, got) {
			t.Errorf("ClampTables(%x, %d) = %x, and of that %x, %v", binary, limit, got, again, err)
		}
		was, is := valid(ctx, r, rewrite.Plain(binary)), valid(ctx, r, rewrite.Plain(got))
		if (was == nil) != (is == nil) {
			t.Errorf("ClampTables(%x, %d) = %x, valid before: %v, after: %v", binary, limit, got, was, is)
		}
	})
}

func valid(ctx context.Context, r wazero.Runtime, binary []byte) error {
	compiled, err := r.CompileModule(ctx, binary)
	if err != nil {
		return err
	}
	return compiled.Close(ctx)
}
