package executor

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
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

// TestPrefetch has a module loaded before all of its upload has come.
func TestPrefetch(t *testing.T) {
	t.Parallel()
	inProcess(t)
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.Background())) })
	cache, err := precompile.NewCache(t.TempDir(), rt, precompile.CacheConfig{})
	require.NoError(t, err)
	modules := &cachedModules{Cache: cache}
	f := newFixture(t, func(c *Config) {
		c.Runtime, c.Modules, c.Pool = rt, modules, pool.New(pool.Config{MaxBytes: 1})
	})
	held := func() int { return f.config.Pool.Stats().Modules }
	data := `(data "` + strings.Repeat("0123456789abcdef", 1<<15) + `")`
	request := rawPost("/first/init", initBody(reactorWAT(1, data, `(i64.const 0)`)))
	begin := func() net.Conn {
		conn, err := net.Dial("tcp", f.MultiplexedAddr().String())
		require.NoError(t, err)
		_, err = conn.Write(request[:len(request)/2])
		require.NoError(t, err)
		return conn
	}
	end := func(conn net.Conn) {
		defer conn.Close()
		_, err := conn.Write(request[len(request)/2:])
		require.NoError(t, err)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer r.Body.Close()
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, 200, f.post(f.multiplexed+"/first/destroy", "").status)
		require.Zero(t, held(), "modules held")
	}
	end(begin())
	require.Equal(t, []string{"compiled"}, modules.taken())

	conn := begin()
	require.Eventually(t, func() bool { return held() == 1 }, time.Minute, time.Millisecond, "with half of the upload")
	end(conn)
	require.Equal(t, []string{"loaded without binary"}, modules.taken())

	conn = begin()
	require.Eventually(t, func() bool { return held() == 1 }, time.Minute, time.Millisecond, "with half of the upload")
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return held() == 0 }, time.Minute, time.Millisecond, "when the rest will not come")
}

func TestCodeBeginning(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("QUJD", precompile.BeginningBytes/4)
	for part, want := range map[string]bool{
		`{"value":{"code":"` + long:           true,
		`{"value":{"code" : "` + long + `"}}`: true,
		"{\"code\"\n:\t\"" + long + long:      true,
		`{"value":{"code":"` + long[1:]:       false,
		`{"value":{"code":null` + long:        false,
		`{"value":{"main":"` + long:           false,
		``:                                    false,
	} {
		code, ok := codeBeginning([]byte(part))
		require.Equal(t, want, ok, "%.40q", part)
		if ok {
			require.Equal(t, long, string(code))
		}
	}
}
