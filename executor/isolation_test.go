package executor

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
)

func TestWorkersAreCounted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("worker processes need Linux")
	}
	registry := prometheus.NewRegistry()
	f := newFixture(t, withWorkers(t), func(c *Config) { c.Registerer = registry })
	f.init(f.single, echoGuest())
	found := map[string]float64{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		metric := family.GetMetric()[0]
		found[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
	}
	assert.Positive(t, found["wasmwhisk_worker_processes"])
	assert.Positive(t, found["wasmwhisk_worker_starts_total"])
	for _, none := range []string{"wasmwhisk_worker_busy_processes", "wasmwhisk_worker_crashes_total", "wasmwhisk_worker_kills_total"} {
		assert.Contains(t, found, none)
		assert.Zero(t, found[none], none)
	}
}

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
