package rewrite_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// withBody is a module that has something of every kind for a function of type 1 to name,
// which is function 1 itself.
func withBody(body []byte) []byte {
	types := []string{
		"\x60\x00\x00", "\x60\x02\x7f\x7e\x01\x7f", "\x60\x01\x7e\x02\x7e\x7d",
		"\x60\x01\x7c\x01\x7c", "\x60\x01\x70\x01\x6f", "\x60\x00\x01\x7b",
	}
	const trap = "\x03\x00\x00\x0b"
	return concat([]byte("\x00asm\x01\x00\x00\x00"),
		vec(1, len(types), []byte(strings.Join(types, ""))),
		vec(2, 1, []byte("\x01m\x01f\x00\x02")),
		vec(3, 3, []byte{1, 0, 3}),
		vec(4, 2, []byte("\x70\x01\x04\x04\x6f\x00\x02")),
		vec(5, 1, []byte{0, 1}),
		vec(6, 4, []byte("\x7f\x01\x41\x00\x0b\x7e\x00\x42\x00\x0b\x7d\x01\x43\x00\x00\x00\x00\x0b\x70\x01\xd0\x70\x0b")),
		vec(9, 1, []byte("\x00\x41\x00\x0b\x02\x00\x02")),
		sectionOf(12, []byte{1}),
		vec(10, 3, concat(uleb(len(body)), body, []byte(trap+trap))),
		vec(11, 1, []byte("\x01\x01x")))
}

// sound gives the functions that the rewriter is sure of. An engine has to agree.
func sound(t *testing.T, r wazero.Runtime, binary []byte) (functions []uint32) {
	t.Helper()
	parts, err := rewrite.Split(binary, rewrite.Options{})
	if err != nil {
		requireKnown(t, err)
		return nil
	}
	for n := range parts.Count() {
		if parts.Sound(n) {
			functions = append(functions, n)
		}
	}
	if functions == nil || valid(context.Background(), r, parts.Sample(nil)) != nil {
		return functions
	}
	require.NoError(t, valid(context.Background(), r, parts.Sample(functions)), "sound functions %d of %x", functions, binary)
	return functions
}

func TestSound(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	require.NoError(t, valid(t.Context(), r, withBody([]byte("\x00\x00\x0b"))))
	for body, want := range map[string]bool{
		"\x41\x01":                             true,
		"\x42\x01":                             false, // an i64
		"":                                     false, // nothing
		"\x41\x01\x41\x01":                     false, // too much
		"\x20\x00":                             true,
		"\x20\x01":                             false,
		"\x20\x01\xa7":                         true, // i32.wrap_i64
		"\x41\x00\x21\x00\x20\x00":             true, // local.set
		"\x41\x00\x21\x01\x20\x00":             false,
		"\x20\x00\x22\x00":                     true,  // local.tee
		"\x41\x00\x28\x02\x00":                 true,  // i32.load
		"\x41\x00\x28\x03\x00":                 false, // alignment
		"\x42\x00\x28\x02\x00":                 false,
		"\x41\x00\x42\x00\x37\x03\x00\x41\x00": true, // i64.store
		"\x42\x00\x41\x00\x37\x03\x00\x41\x00": false,
		"\x3f\x00":                             true, // memory.size
		"\x23\x00":                             true,
		"\x41\x00\x24\x00\x41\x00":             true,
		"\x42\x00\x24\x01\x41\x00":             false, // immutable
		"\x41\x01\x04\x7f\x41\x01\x05\x41\x02\x0b":     true,  // if, else
		"\x41\x01\x04\x7f\x41\x01\x0b":                 false, // without else
		"\x41\x01\x04\x7f\x42\x01\x05\x41\x02\x0b":     false,
		"\x02\x7f\x41\x01\x0c\x00\x0b":                 true, // br
		"\x02\x7f\x42\x01\x0c\x00\x0b":                 false,
		"\x02\x7f\x41\x01\x41\x01\x0d\x00\x0b":         true, // br_if
		"\x03\x40\x41\x01\x0d\x00\x0b\x41\x00":         true, // of a loop
		"\x03\x40\x41\x01\x0b\x41\x00":                 false,
		"\x02\x40\x41\x00\x0e\x01\x00\x00\x0b\x41\x00": true, // br_table
		"\x02\x40\x41\x00\x0e\x01\x00\x01\x0b\x41\x00": false,
		"\x00":                                             true,  // unreachable
		"\x00\x6a":                                         false, // sound, but not surely
		"\x00\x42\x00\x21\x00":                             false,
		"\x00\x21\x00":                                     true,
		"\x41\x01\x0f\x0b":                                 false, // instructions after the end
		"\x41\x01\x0f":                                     true,
		"\x20\x00\x20\x01\x10\x01":                         true, // call
		"\x20\x01\x20\x00\x10\x01":                         false,
		"\x20\x00\x20\x01\x41\x00\x11\x01\x00":             true,  // call_indirect
		"\x20\x00\x20\x01\x41\x00\x11\x01\x01":             false, // through a table of externref
		"\x41\x01\x41\x02\x41\x00\x1b":                     true,  // select
		"\x41\x01\x42\x02\x41\x00\x1b\xa7":                 false,
		"\xd0\x70\xd0\x70\x41\x00\x1b\x1a\x41\x00":         false, // of references
		"\x42\x01\x02\x02\x0b\x1a\x1a\x41\x00":             false, // i64 -> i64 f32
		"\x42\x01\x02\x02\x43\x00\x00\x00\x00\x0b\x1a\xa7": true,
		"\x43\x00\x00\x00\x00\xfc\x00":                     true,  // i32.trunc_sat_f32_s
		"\x43\x00\x00\x00\x00\xfc\x80\x00":                 false, // the same, which wazero's interpreter does not know
		"\x44\x00\x00\x00\x00\x00\x00\x00\x00\xfc\x00":     false,
		"\x41\x00\x41\x00\x41\x00\xfc\x0b\x00\x41\x00":     true,  // memory.fill
		"\x41\x80\x80\x80\x80\x78":                         true,  // the least i32
		"\x41\x80\x80\x80\x80\x08":                         false, // one more than the greatest
		"\x41\x80\x80\x80\x80\x70":                         false,
		"\x42\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\xa7": true, // the least i64
		"\x42\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\xa7": false,
	} {
		functions := sound(t, r, withBody([]byte("\x00"+body+"\x0b")))
		require.Equal(t, want, slices.Contains(functions, 0), "% x", body)
	}
}

// What Go's compiler makes needs no second look.
func TestGoIsSound(t *testing.T) {
	t.Parallel()
	parts := split(t, guesttest.Build(t, "wasmwhisk/examples/add", guest.Reactor))
	require.True(t, parts.Result.Sound)
	for n := range parts.Count() {
		require.True(t, parts.Sound(n), "function %d of %d", n, parts.Count())
	}
}

// Without a memory nothing that needs one is sound.
func TestSoundWithoutMemory(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	for _, body := range []string{
		"(i32.load (i32.const 0))", "(memory.size)", "(memory.grow (i32.const 1))",
		"(memory.fill (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 0)",
		"(memory.copy (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 0)",
	} {
		functions := sound(t, r, wat.Must("(module (func (result i32) (i32.const 0)) (func (result i32) "+body+"))"))
		require.Equal(t, []uint32{0}, functions, body)
	}
}

// Bytes of sound functions are changed at random: most of that is invalid, or valid in
// another way.
func TestSoundIsNeverWrong(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	random := rand.New(rand.NewPCG(1, 2))
	rounds, surely := 300, 0
	if testing.Short() {
		rounds = 60
	}
	for round := range rounds {
		data := make([]byte, 20+round)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		binary := generate(data)
		surely += len(sound(t, r, binary))
		for range 20 {
			changed := slices.Clone(binary)
			for range 1 + random.IntN(3) {
				changed[8+random.IntN(len(changed)-8)] = byte(random.Uint32())
			}
			sound(t, r, changed)
		}
	}
	assert.Greater(t, surely, rounds)
}

// What it would take long to look at is for an engine, which has limits on time.
func TestManyValuesAreNotSurelySound(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("i32 ", 1000)
	parts := split(t, wat.Must("(module (func (result "+many+") unreachable) (func (param "+many+")) (func (call 0) (call 1)))"))
	for n := range parts.Count() {
		require.Equal(t, n == 1, parts.Sound(n), "function %d", n)
	}
	require.False(t, parts.Result.Sound)
}

// FuzzSound has the rewriter and an engine judge the body of a function.
func FuzzSound(f *testing.F) {
	for _, body := range []string{
		"\x41\x01", "\x00\x6a", "\x20\x00\x20\x01\x41\x00\x11\x01\x00", "\x41\x01\x04\x7f\x41\x01\x05\x41\x02\x0b",
		"\x42\x01\x02\x02\x43\x00\x00\x00\x00\x0b\x1a\xa7", "\x02\x40\x41\x00\x0e\x01\x00\x00\x0b\x41\x00",
		"\x41\x00\x42\x00\x37\x03\x00\x41\x00", "\x43\x00\x00\x00\x00\xfc\x00", "\x43\x00\x00\x00\x00\xfc\x80\x00",
		"\x00\xfc\x0b\x80\x00",
	} {
		f.Add([]byte("\x02\x01\x7d\x01\x7c" + body + "\x0b"))
	}
	r := newRuntime(f, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, body []byte) { sound(t, r, withBody(body)) })
}
