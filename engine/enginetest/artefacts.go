package enginetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// variedOf3 is what testdata/varied.wat answers to f(3).
const variedOf3 = 99

// precompiler skips the test where artefacts are not for the engine.
func precompiler(t *testing.T, rt engine.WasmRuntime) engine.Precompiler {
	t.Helper()
	p, ok := rt.(engine.Precompiler)
	if !ok {
		t.Skip("the engine keeps no artefacts")
	}
	return p
}

func (e *env) artefact(t *testing.T, binary []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, precompiler(t, e.rt).Precompile(t.Context(), binary, dir))
	return dir
}

func testArtefacts(t *testing.T, e *env) {
	binary := wat.Must(varied)
	dir := e.artefact(t, binary)
	for name, rt := range map[string]engine.WasmRuntime{"the same engine": e.rt, "another engine": e.another(t)} {
		m, err := precompiler(t, rt).Load(t.Context(), binary, copyOf(t, dir))
		require.NoError(t, err, name)
		closeAtEnd(t, m)
		assert.Len(t, m.Imports(), 2, name)
		assert.Len(t, m.Exports(), 2, name)
		instance := instantiate(t, m, engine.Limits{})
		assert.EqualValues(t, variedOf3, call(t, instance, "f", 3), name)
	}
	m, err := precompiler(t, e.rt).Load(t.Context(), binary, dir)
	require.NoError(t, err)
	closeAtEnd(t, m)
	require.NoError(t, os.RemoveAll(dir))
	assert.EqualValues(t, variedOf3, call(t, instantiate(t, m, engine.Limits{}), "f", 3), "after the directory was removed")
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(out, os.DirFS(dir)))
	return out
}

func testArtefactLimits(t *testing.T, e *env) {
	binary := wat.Must(`(memory 1) (table $t 1 funcref)` + growing + `
		(func (export "table") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
		(func (export "trap") unreachable)`)
	m, err := precompiler(t, e.rt).Load(t.Context(), binary, e.artefact(t, binary))
	require.NoError(t, err)
	closeAtEnd(t, m)
	instance := instantiate(t, m, engine.Limits{MemoryPages: 2})
	assert.EqualValues(t, -1, call(t, instance, "grow", 2))
	assert.EqualValues(t, 1, call(t, instance, "grow", 1))
	assert.EqualValues(t, -1, call(t, instance, "table", tableCap))
	assert.EqualValues(t, 1, call(t, instance, "table", tableCap-1))
	_, err = instance.Call(t.Context(), "trap")
	requireTrap(t, engine.TrapUnreachable, err)
}

// testDamagedArtefacts has what a caller's checksums would find. The least an
// engine owes then is an error, or a module that works.
func testDamagedArtefacts(t *testing.T, e *env) {
	binary := wat.Must(varied)
	whole := e.artefact(t, binary)
	for _, part := range []int64{0, 1, 4, 8, 16, 50, 90, 99} {
		e.hostile(t, fmt.Sprintf("first %d %%", part), func(t *testing.T) {
			dir := copyOf(t, whole)
			eachFile(t, dir, func(path string, size int64) error { return os.Truncate(path, size*part/100) })
			e.requireErrorOrWorks(t, binary, dir)
		})
	}
	e.hostile(t, "no files", func(t *testing.T) { e.requireErrorOrWorks(t, binary, t.TempDir()) })
	e.hostile(t, "no directory", func(t *testing.T) {
		e.requireErrorOrWorks(t, binary, filepath.Join(t.TempDir(), "missing"))
	})
	e.hostile(t, "one more file", func(t *testing.T) {
		dir := copyOf(t, whole)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "stray"), []byte("stray"), 0o600))
		e.requireErrorOrWorks(t, binary, dir)
	})
	e.hostile(t, "of another module", func(t *testing.T) {
		e.requireErrorOrWorks(t, binary, e.artefact(t, wat.Must(`(func (export "f") (param i32) (result i32) i32.const 1)`)))
	})
}

func eachFile(t *testing.T, dir string, change func(path string, size int64) error) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return change(path, info.Size())
	}))
}

func (e *env) requireErrorOrWorks(t *testing.T, binary []byte, dir string) {
	t.Helper()
	m, err := precompiler(t, e.another(t)).Load(t.Context(), binary, dir)
	if err != nil {
		return
	}
	closeAtEnd(t, m)
	assert.EqualValues(t, variedOf3, call(t, instantiate(t, m, engine.Limits{}), "f", 3))
}

func testFingerprint(t *testing.T, e *env) {
	want := precompiler(t, e.rt).Fingerprint()
	require.NotEmpty(t, want)
	assert.Equal(t, want, precompiler(t, e.another(t)).Fingerprint(), "of an equal engine")
	config := e.config
	config.TableElements = engine.DefaultTableElements
	assert.Equal(t, want, precompiler(t, e.with(t, config)).Fingerprint(), "with the default spelled out")
	config.TableElements = 99
	assert.NotEqual(t, want, precompiler(t, e.with(t, config)).Fingerprint(), "with another bound on tables")
}

func testInvalidArtefact(t *testing.T, e *env) {
	p := precompiler(t, e.rt)
	for _, binary := range [][]byte{nil, []byte("text"), wat.Must("(func i32.add)"), wat.Must("(memory 2 1)")} {
		requireInvalid(t, p.Precompile(t.Context(), binary, t.TempDir()), "Precompile(%x)", binary)
		_, err := p.Load(t.Context(), binary, t.TempDir())
		assert.Error(t, err, "Load(%x)", binary)
	}
}

func testConcurrentLoad(t *testing.T, e *env) {
	binary := wat.Must(varied)
	dir := e.artefact(t, binary)
	p := precompiler(t, e.another(t))
	errs := atOnce(8, func(int) error {
		m, err := p.Load(t.Context(), binary, dir)
		if err != nil {
			return err
		}
		return runVaried(t.Context(), m)
	})
	assert.NoError(t, errors.Join(errs...))
}
