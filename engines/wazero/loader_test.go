package wazero

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// Two modules whose skeletons differ in nothing but their ids.
var (
	seven = wat.Must(`(memory (export "memory") 1) (data (i32.const 8) "7") (func (export "f") (result i32) (i32.const 7))`)
	eight = wat.Must(`(memory (export "memory") 1) (data (i32.const 8) "7") (func (export "f") (result i32) (i32.const 8))`)
)

func newTestCompiler(t *testing.T) *Compiler {
	t.Helper()
	c, err := NewCompiler(t.Context(), engine.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	return c
}

func precompiled(t *testing.T, c *Compiler, binary []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, c.Precompile(t.Context(), binary, dir))
	return dir
}

func result(t *testing.T, m engine.Module) uint64 {
	t.Helper()
	defer m.Close(t.Context())
	i, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	defer i.Close(t.Context())
	results, err := i.Call(t.Context(), "f")
	require.NoError(t, err)
	return results[0]
}

// TestLoadNeverCompiles pins what the loader leans on in wazero: that it looks
// machine code up by the skeleton, and that it makes none.
func TestLoadNeverCompiles(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	for name, change := range map[string]func(t *testing.T, dir string) error{
		"no code": func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, codeFile)) },
		"code of another version": func(t *testing.T, dir string) error {
			path := filepath.Join(dir, codeFile)
			code, err := os.ReadFile(path)
			require.NoError(t, err)
			code[len("WAZEVO")+1] ^= 1
			return os.WriteFile(path, code, 0o600)
		},
		"another name": func(t *testing.T, dir string) error {
			path := filepath.Join(dir, detailsFile)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			a, err := readArtefact(dir)
			require.NoError(t, err)
			return os.WriteFile(path, bytes.Replace(text, []byte(a.Name), []byte("other"), 1), 0o600)
		},
		"skeleton of another module": func(t *testing.T, dir string) error {
			other, err := os.ReadFile(filepath.Join(precompiled(t, c, eight), skeletonFile))
			require.NoError(t, err)
			return os.WriteFile(filepath.Join(dir, skeletonFile), other, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := precompiled(t, c, seven)
			require.NoError(t, change(t, dir))
			_, err := c.Load(t.Context(), seven, dir)
			require.ErrorContains(t, err, errNoCode.Error())

			l, err := c.loader.get()
			require.NoError(t, err)
			require.Empty(t, l.offers.(*mappingCache).offered)

			m, err := c.Load(t.Context(), seven, precompiled(t, c, seven))
			require.NoError(t, err, "after the artefact was made again")
			require.EqualValues(t, 7, result(t, m))
		})
	}
}

// TestLoadNoticesCompiling takes the first wall away.
func TestLoadNoticesCompiling(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	a, err := readArtefact(precompiled(t, c, wat.Must(`(memory (export "memory") 1)`)))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(a.dir, codeFile)))
	l, err := c.loader.get()
	require.NoError(t, err)
	_, err = l.load(t.Context(), a) // of no functions, so wazero never looks at the context
	require.ErrorIs(t, err, errCompiled)
}

func TestLoadKeepsModulesApart(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	dirs := map[uint64]string{7: precompiled(t, c, seven), 8: precompiled(t, c, eight)}
	var modules []engine.Module
	for _, want := range []uint64{7, 8} {
		m, err := c.Load(t.Context(), nil, dirs[want])
		require.NoError(t, err)
		modules = append(modules, m)
	}
	for i, m := range modules {
		require.EqualValues(t, 7+i, result(t, m))
	}
	_, err := c.Load(t.Context(), seven, dirs[8])
	require.ErrorContains(t, err, "another module")
}

func TestImageSurvivesItsFile(t *testing.T) {
	t.Parallel()
	far := bytes.Repeat([]byte{3}, 100)
	image := []rewrite.Segment{{Offset: 2, Data: []byte{1}}, {Offset: 9, Data: []byte{2, 2}}, {Offset: 1 << 20, Data: far}, {Offset: 1<<32 - 1, Data: []byte{4}}}
	text := encodeImage(image)
	got, err := decodeImage(text)
	require.NoError(t, err)
	require.Equal(t, []rewrite.Segment{
		{Offset: 0, Data: []byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 2}}, image[2], image[3],
	}, got)
	for n := range text {
		got, err := decodeImage(text[:n])
		require.True(t, err != nil || len(got) < 3, "decodeImage of the first %d bytes = %v", n, got)
	}
}

func FuzzImage(f *testing.F) {
	f.Add(encodeImage([]rewrite.Segment{{Offset: 3, Data: []byte("three")}, {Offset: 1 << 30, Data: []byte("far")}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		image, err := decodeImage(text)
		if err != nil {
			return
		}
		again, err := decodeImage(encodeImage(image))
		require.NoError(t, err)
		require.LessOrEqual(t, len(again), len(image))
	})
}
