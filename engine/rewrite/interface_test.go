package rewrite_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

func TestInterfaceOf(t *testing.T) {
	t.Parallel()
	got, err := rewrite.InterfaceOf(wat.Must(`
		(import "a" "f" (func $f (param i32 v128) (result i64)))
		(import "a" "t" (table 1 funcref)) (import "a" "m" (memory 1)) (import "a" "g" (global i32))
		(import "b" "" (func))
		(func (export "é") (param f64)) (export "f" (func $f)) (export "m" (memory 0))
		(global (export "own") i32 (i32.const 1))`))
	require.NoError(t, err)
	f := rewrite.FuncType{Params: []byte{0x7f, 0x7b}, Results: []byte{0x7e}}
	assert.Equal(t, []rewrite.Import{
		{Module: "a", Name: "f", Kind: rewrite.KindFunc, Type: f},
		{Module: "a", Name: "t", Kind: rewrite.KindTable},
		{Module: "a", Name: "m", Kind: rewrite.KindMemory},
		{Module: "a", Name: "g", Kind: rewrite.KindGlobal},
		{Module: "b", Kind: rewrite.KindFunc, Type: rewrite.FuncType{Params: []byte{}, Results: []byte{}}},
	}, got.Imports)
	assert.Equal(t, []rewrite.Export{
		{Name: "é", Kind: rewrite.KindFunc, Type: rewrite.FuncType{Params: []byte{0x7c}, Results: []byte{}}},
		{Name: "f", Kind: rewrite.KindFunc, Type: f},
		{Name: "m", Kind: rewrite.KindMemory},
		{Name: "own", Kind: rewrite.KindGlobal},
	}, got.Exports)

	_, err = rewrite.InterfaceOf([]byte("text"))
	assert.Error(t, err)
}
