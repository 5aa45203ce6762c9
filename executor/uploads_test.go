package executor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/precompile"
)

// cachedModules notes how each module was had.
type cachedModules struct {
	*precompile.Cache
	mu  sync.Mutex
	how []string
}

func (m *cachedModules) Module(ctx context.Context, action precompile.Action) (engine.Module, precompile.Origin, error) {
	module, origin, err := m.Cache.Module(ctx, action)
	how := string(origin)
	if action.Binary == nil {
		how += " without binary"
	}
	if err != nil {
		how = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.how = append(m.how, how)
	return module, origin, err
}

func (m *cachedModules) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	how := m.how
	m.how = nil
	return how
}

// TestKnownUploads restarts an executor over and over on one directory.
func TestKnownUploads(t *testing.T) {
	t.Parallel()
	inProcess(t)
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.Background())) })
	dir := t.TempDir()
	data := `(data "` + strings.Repeat("x", precompile.SmallBinary) + `")` // to be worth keeping
	binary := reactorWAT(1, data, `(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)

	start := func() []string {
		cache, err := precompile.NewCache(dir, rt, precompile.CacheConfig{})
		require.NoError(t, err)
		modules := &cachedModules{Cache: cache}
		f := newFixture(t, func(c *Config) { c.Runtime, c.Modules = rt, modules })
		r := f.init(f.single, binary)
		require.Equal(t, 200, r.status, r.body)
		f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
		return modules.taken()
	}
	assert.Equal(t, []string{"compiled"}, start())
	assert.Equal(t, []string{"loaded without binary"}, start())

	artefacts, err := filepath.Glob(filepath.Join(dir, "[0-9a-f]*"))
	require.NoError(t, err)
	for _, path := range artefacts {
		require.NoError(t, os.RemoveAll(path))
	}
	assert.Equal(t, []string{precompile.ErrBinaryNeeded.Error(), "compiled"}, start())
	assert.Equal(t, []string{"loaded without binary"}, start())
}
