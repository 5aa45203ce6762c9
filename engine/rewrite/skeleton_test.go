package rewrite

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/wat"
)

func TestSkeleton(t *testing.T) {
	t.Parallel()
	binary := wat.Must(`(module
		(import "m" "f" (func $f (param i32)))
		(memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $g $f)
		(elem declare func $g $f) (elem declare funcref (ref.func $g)) (elem func $f) (elem funcref (ref.null func))
		(data "passive")
		(global (mut i64) (i64.const 7))
		(func $g (export "g") (param i32 f64) (result i64) (local i64)
			(call $f (local.get 0)) (i64.const 5))
		(func (export "h")))`)
	skeleton, err := Skeleton(binary, []byte("one"))
	require.NoError(t, err)

	sections, err := split(binary)
	require.NoError(t, err)
	kept, err := split(skeleton)
	require.NoError(t, err)
	last := len(kept) - 1
	require.Equal(t, "\x12wasmwhisk.skeletonone", string(kept[last].content))

	of := func(all []section) map[byte][]byte {
		contents := map[byte][]byte{}
		for _, s := range all {
			contents[s.id] = s.content
		}
		return contents
	}
	want, got := of(sections), of(kept[:last])
	want[codeSection] = []byte("\x02" + trapBody + trapBody)
	want[elemSection] = []byte("\x05" + "\x00\x41\x00\x0b\x02\x01\x00" + "\x03\x00\x00" + "\x07\x70\x00" + "\x01\x00\x01\x00" + "\x05\x70\x01\xd0\x70\x0b")
	require.Equal(t, want, got)

	other, err := Skeleton(binary, []byte("two"))
	require.NoError(t, err)
	require.NotEqual(t, skeleton, other)
}

func TestSkeletonOfNoModule(t *testing.T) {
	t.Parallel()
	for _, binary := range [][]byte{nil, []byte("\x00asm"), append([]byte(header), 10, 1, 5)} {
		_, err := Skeleton(binary, nil)
		require.Error(t, err, "Skeleton(%x)", binary)
	}
}

func FuzzSkeleton(f *testing.F) {
	f.Add(wat.Must(`(module (func (export "f") (result i32) (i32.const 1)) (data "x"))`))
	f.Add(wat.Must(`(module (func $f) (elem declare func $f) (elem declare funcref (ref.func $f)) (elem func $f))`))
	f.Fuzz(func(t *testing.T, binary []byte) {
		skeleton, err := Skeleton(binary, []byte("id"))
		if err != nil {
			return
		}
		again, err := Skeleton(skeleton, []byte("id"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(skeleton, again), "Skeleton(Skeleton(%x)) = %x, want %x", binary, again, skeleton)
	})
}
