package rewrite_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/rewrite"
)

// ofBodies is a module of functions without parameters and results.
func ofBodies(bodies ...[]byte) []byte {
	section := func(id byte, content []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
	funcs := binary.AppendUvarint(nil, uint64(len(bodies)))
	code := slices.Clone(funcs)
	for _, b := range bodies {
		funcs = append(funcs, 0)
		code = append(binary.AppendUvarint(code, uint64(len(b))), b...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{1, 0x60, 0, 0}), section(3, funcs), section(10, code))
}

// However many processors look at bodies, it is the first fault that is told.
func TestFirstFaultOfLargeCode(t *testing.T) {
	t.Parallel()
	const size = 200 << 10
	nops := bytes.Repeat([]byte{1}, size)
	sound := slices.Concat([]byte{0}, nops, []byte{0x0b})
	faulty := slices.Concat([]byte{0}, nops, []byte{0x20, 9, 0x1a, 0x0b}) // local.get 9
	for first := range 8 {
		bodies := slices.Repeat([][]byte{sound}, 8)
		bodies[first], bodies[7] = faulty, faulty
		var format *rewrite.FormatError
		_, err := rewrite.Rewrite(ofBodies(bodies...), rewrite.Options{})
		require.ErrorAs(t, err, &format)
		require.Equal(t, first, (format.Offset-100)/size, "body of the fault in %v", err)
	}
	_, err := rewrite.Rewrite(ofBodies(slices.Repeat([][]byte{sound}, 8)...), rewrite.Options{})
	require.NoError(t, err)
}

// A shape is what instructions do, whatever they name.
func TestShapes(t *testing.T) {
	t.Parallel()
	constant := func(n byte) []byte { return []byte{0, 0x41, n, 0x1a, 0x0b} } // i32.const n, drop
	parts := split(t, ofBodies(constant(1), constant(2), []byte{0, 0x01, 0x0b}, []byte{1, 2, 0x7f, 0x41, 3, 0x1a, 0x0b}))
	require.Equal(t, parts.Shape(0), parts.Shape(1))
	require.NotEqual(t, parts.Shape(0), parts.Shape(2))
	require.Equal(t, parts.Shape(0), parts.Shape(3), "of a function with locals")
}
