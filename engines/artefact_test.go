package engines_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engines/wasmtime"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
	"wasmwhisk/precompile"
)

// TestDamagedArtefactsAreCompiledAgain damages what each engine keeps on disk.
func TestDamagedArtefactsAreCompiledAgain(t *testing.T) {
	t.Parallel()
	engines := map[string]func(context.Context, engine.Config) (engine.Precompiler, error){
		"wazero": func(ctx context.Context, c engine.Config) (engine.Precompiler, error) {
			return wazero.NewCompiler(ctx, c)
		},
	}
	if wasmtime.Missing == "" {
		engines["wasmtime"] = wasmtime.New
	}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, err := open(t.Context(), engine.Config{})
			require.NoError(t, err)
			defer func() { require.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) }()
			testDamage(t, rt)
		})
	}
}

func testDamage(t *testing.T, rt engine.Precompiler) {
	var log bytes.Buffer
	dir := filepath.Join(t.TempDir(), "cache")
	cache, err := precompile.NewCache(dir, rt, precompile.CacheConfig{
		KeepSmall: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	binary := wat.Must(`(memory (export "memory") 1) (func (export "f") (result i32) (i32.const 7))`)
	for _, want := range []precompile.Origin{precompile.Compiled, precompile.Loaded} {
		assert.Equal(t, want, ask(t, cache, binary))
	}
	damage(t, dir)
	assert.Equal(t, precompile.Compiled, ask(t, cache, binary), "after damage")
	assert.EqualValues(t, 1, cache.Stats().Dropped)
	assert.Contains(t, log.String(), "level=WARN")
	assert.Equal(t, precompile.Loaded, ask(t, cache, binary), "after it was compiled again")
}

// ask gets a module from the cache, sees that it works, and tells where it came
// from.
func ask(t *testing.T, cache *precompile.Cache, binary []byte) precompile.Origin {
	t.Helper()
	m, origin, err := cache.Module(t.Context(), precompile.Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.NoError(t, err)
	instance, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	got, err := instance.Call(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, []uint64{7}, got)
	require.NoError(t, instance.Close(t.Context()))
	require.NoError(t, m.Close(t.Context()))
	return origin
}

// damage flips a bit in the middle of the largest file.
func damage(t *testing.T, dir string) {
	t.Helper()
	path, size := "", int64(0)
	require.NoError(t, filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() > size {
			path, size = name, info.Size()
		}
		return err
	}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text[len(text)/2] ^= 4
	require.NoError(t, os.WriteFile(path, text, 0o600))
}
