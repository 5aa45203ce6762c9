package executor

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
)

// TestWorkersLoadArtefacts gives workers modules that were compiled before, by an
// executor on the same directory.
func TestWorkersLoadArtefacts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("worker processes need Linux")
	}
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.Background())) })
	dir := t.TempDir()
	data := `(data "` + strings.Repeat("x", precompile.SmallBinary) + `")` // to be worth keeping
	binary := reactorWAT(1, data, `(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)

	start := func() precompile.CacheStats {
		cache, err := precompile.NewCache(dir, rt, precompile.CacheConfig{})
		require.NoError(t, err)
		f := newFixture(t, withWorkers(t), func(c *Config) { c.Modules = cache })
		f.init(f.single, binary)
		f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
		return cache.Stats()
	}
	assert.Equal(t, precompile.CacheStats{Compiled: 1, Stored: 1, Loaded: 1}, start())
	assert.Equal(t, precompile.CacheStats{Loaded: 1}, start())
	code, err := filepath.Glob(filepath.Join(dir, "*", precompile.CodeDir, "code"))
	require.NoError(t, err)
	require.Len(t, code, 1)
	require.NoError(t, os.WriteFile(code[0], []byte("damaged"), 0o600))
	assert.Equal(t, precompile.CacheStats{Compiled: 1, Stored: 1, Loaded: 1, Dropped: 1}, start())
}
