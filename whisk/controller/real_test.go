package controller_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/executor/action"
	"wasmwhisk/internal/wat"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/invoker"
)

// compiler gives the invoker its modules without a cache.
type compiler struct{ engine.WasmRuntime }

func (c compiler) Module(ctx context.Context, action precompile.Action) (engine.Module, precompile.Origin, error) {
	m, err := c.Compile(ctx, action.Binary)
	return m, precompile.Compiled, err
}

// withInvoker has actions run for real.
func withInvoker(t testing.TB) func(*controller.Config) {
	return withCapacity(t, invoker.Capacity{})
}

func withCapacity(t testing.TB, capacity invoker.Capacity) func(*controller.Config) {
	return func(c *controller.Config) {
		ctx := context.Background()
		runtime, err := wazero.NewCompiler(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
		require.NoError(t, err)
		modules := pool.New(pool.Config{})
		i := invoker.New(invoker.Config{
			Maker: action.NewMaker(action.Config{Pool: modules, Modules: compiler{runtime}}),
			Store: c.Store.(invoker.Store), Capacity: capacity,
		})
		require.NoError(t, i.Start(ctx))
		t.Cleanup(func() {
			i.Stop(ctx)
			require.NoError(t, modules.Close(ctx))
			require.NoError(t, runtime.Close(ctx))
		})
		c.Invoker = i
	}
}

// echoModule answers with its input.
func echoModule() string {
	return string(wat.Must(`(module
		(memory (export "memory") 2)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64)
			(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))`))
}

func TestActionsRunForReal(t *testing.T) {
	t.Parallel()
	s := newServer(t, withInvoker(t))
	s.do(http.MethodPut, "_/actions/echo", echoModule(), header("Content-Type", "application/wasm")).is(http.StatusOK)
	first := s.do(http.MethodPost, "_/actions/echo?blocking=true", `{"a":1}`).is(http.StatusOK)
	assert.Contains(t, first.body, `{"key":"initTime","value":`, "the first is cold")
	second := s.do(http.MethodPost, "_/actions/echo?blocking=true", `{"a":1}`).is(http.StatusOK)
	assert.NotContains(t, second.body, "initTime", "the second is warm")

	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/echo","/_/echo"]}}`)
	assert.Equal(t, `{"a":1}`, s.do(http.MethodPost, "_/actions/seq?blocking=true&result=true", `{"a":1}`).is(http.StatusOK).body)

	s.put("_/actions/js", `{"exec":{"kind":"nodejs:20","code":"function main(a){return a}"}}`)
	foreign := s.do(http.MethodPost, "_/actions/js?blocking=true", ``).is(http.StatusBadGateway)
	assert.Contains(t, foreign.body, "The kind 'nodejs:20' is not executed here: actions are WebAssembly of kind 'wasm:0.1'.")
	assert.Contains(t, foreign.body, `"status":"action developer error"`)
}

func TestSubjectsWithoutRecords(t *testing.T) {
	t.Parallel()
	s := newServer(t, withInvoker(t))
	subject, err := s.store.Subject(t.Context(), whisk.Guest)
	require.NoError(t, err)
	stores := false
	subject.Limits.StoreActivations = &stores
	require.NoError(t, s.store.UpdateSubject(t.Context(), subject))
	s.do(http.MethodPut, "_/actions/echo", echoModule(), header("Content-Type", "application/wasm")).is(http.StatusOK)
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/echo","/_/echo"]}}`)
	s.put("_/triggers/t", `{}`)
	s.put("_/rules/r", `{"trigger":"/_/t","action":"/_/echo"}`)

	assert.Equal(t, "false", s.do(http.MethodGet, "_/limits", "").field("storeActivations"))
	for _, name := range []string{"echo", "seq"} {
		got := s.do(http.MethodPost, "_/actions/"+name+"?blocking=true", `{"a":1}`, header("X-OW-EXTRA-LOGGING", "on")).is(http.StatusOK)
		s.do(http.MethodGet, "_/activations/"+got.field("activationId"), "").is(http.StatusNotFound)
		s.do(http.MethodPost, "_/actions/"+name, "").is(http.StatusAccepted)
	}
	s.do(http.MethodPost, "_/triggers/t", "").is(http.StatusAccepted)
	require.Eventually(t, func() bool { return s.do(http.MethodGet, "/activation/count", "").body == "0" }, 10*time.Second, time.Millisecond)
	s.do(http.MethodGet, "_/activations?count=true", "").says(`{"activations":0}`)
	for promise, err := range s.store.Pending(t.Context()) {
		require.NoError(t, err)
		assert.Failf(t, "promised", "%v", promise)
	}
}

// BenchmarkInvoke is a blocking invocation over loopback with its record stored,
// beside what the API answers without doing anything.
func BenchmarkInvoke(b *testing.B) {
	s := newServer(b, withInvoker(b))
	s.do(http.MethodPut, "_/actions/echo", echoModule(), header("Content-Type", "application/wasm")).is(http.StatusOK)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	for _, c := range []struct{ name, method, path string }{
		{"ping", http.MethodGet, "/ping"},
		{"namespaces", http.MethodGet, "/api/v1/namespaces"},
		{"blocking", http.MethodPost, "_/actions/echo?blocking=true&result=true"},
		{"accepted", http.MethodPost, "_/actions/echo"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				body := ""
				if c.method == http.MethodPost {
					body = `{"a":1}`
				}
				for pb.Next() {
					if got := s.do(c.method, c.path, body); got.status >= 300 {
						b.Errorf("%s: %d %s", got.call, got.status, got.body)
					}
				}
			})
		})
	}
}
