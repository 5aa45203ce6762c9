package invoker

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/executor/action"
	"wasmwhisk/internal/wat"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// memory is a store that remembers for the time of a test.
type memory struct {
	mu       sync.Mutex
	code     map[whisk.Digest][]byte
	records  map[whisk.ActivationID]*whisk.Activation
	promises map[whisk.ActivationID]*store.Promise
	err      error // of every write
}

func newMemory() *memory {
	return &memory{
		code:     map[whisk.Digest][]byte{},
		records:  map[whisk.ActivationID]*whisk.Activation{},
		promises: map[whisk.ActivationID]*store.Promise{},
	}
}

func (m *memory) ReadCode(_ context.Context, digest whisk.Digest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	code, ok := m.code[digest]
	if !ok {
		return nil, store.ErrNotFound
	}
	return code, nil
}

func (m *memory) Append(_ context.Context, records ...*whisk.Activation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		if m.err != nil {
			return m.err
		}
		m.records[r.ID] = r
		delete(m.promises, r.ID)
	}
	return nil
}

func (m *memory) Accept(_ context.Context, promises ...*store.Promise) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range promises {
		if m.err != nil {
			return m.err
		}
		if _, ended := m.records[p.ID]; !ended {
			m.promises[p.ID] = p
		}
	}
	return nil
}

func (m *memory) Pending(context.Context) iter.Seq2[*store.Promise, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*store.Promise
	for _, p := range m.promises {
		all = append(all, p)
	}
	return func(yield func(*store.Promise, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (m *memory) record(id whisk.ActivationID) *whisk.Activation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[id]
}

func (m *memory) promised(id whisk.ActivationID) *store.Promise {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.promises[id]
}

// compiler gives modules without a cache.
type compiler struct{ engine.WasmRuntime }

func (c compiler) Module(ctx context.Context, action precompile.Action) (engine.Module, precompile.Origin, error) {
	m, err := c.Compile(ctx, action.Binary)
	return m, precompile.Compiled, err
}

// fixture is an invoker on a store in memory.
type fixture struct {
	*Invoker
	t     testing.TB
	store *memory
}

func newFixture(t testing.TB, configure ...func(*Config)) *fixture {
	t.Helper()
	ctx := context.Background()
	runtime, err := wazero.NewCompiler(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	modules := pool.New(pool.Config{})
	f := &fixture{t: t, store: newMemory()}
	config := Config{
		Maker: action.NewMaker(action.Config{Pool: modules, Modules: compiler{runtime}, Env: []string{"__OW_API_HOST=http://127.0.0.1:3233"}}),
		Store: f.store,
	}
	for _, change := range configure {
		change(&config)
	}
	f.Invoker = New(config)
	require.NoError(t, f.Start(ctx))
	t.Cleanup(func() {
		f.Stop(ctx)
		require.NoError(t, modules.Close(ctx))
		require.NoError(t, runtime.Close(ctx))
	})
	return f
}

// action stores code and gives an action that has it.
func (f *fixture) action(name string, code []byte, change ...func(*whisk.Action)) *whisk.Action {
	exec := whisk.NewExec(whisk.KindWasm, code)
	f.store.mu.Lock()
	f.store.code[exec.Digest] = code
	f.store.mu.Unlock()
	exec.Code = nil
	a := &whisk.Action{
		Header: whisk.Header{Namespace: "guest", Name: whisk.EntityName(name), Version: whisk.FirstVersion()},
		Limits: whisk.DefaultLimits(),
		Exec:   exec,
	}
	for _, c := range change {
		c(a)
	}
	return a
}

// invocation asks for an action on behalf of guest.
func invocation(a *whisk.Action, change ...func(*Invocation)) Invocation {
	inv := Invocation{
		ID: whisk.NewActivationID(), Subject: "guest", Namespace: "guest", Action: a, Revision: 1,
		Arguments: []byte(`{"a":1}`), Received: time.Now(),
	}
	for _, c := range change {
		c(&inv)
	}
	return inv
}

// invoke waits for the record of an invocation.
func (f *fixture) invoke(inv Invocation) *whisk.Activation {
	f.t.Helper()
	p, err := f.Submit(inv)
	require.NoError(f.t, err)
	record, err := p.Wait(context.Background())
	require.NoError(f.t, err)
	require.Same(f.t, record, f.store.record(inv.ID), "the record is stored before it is known")
	return record
}

// reactor is a guest by hand: $ptr and $len are the input's.
func reactor(more, body string) []byte {
	return wat.Must(fmt.Sprintf(`(module
		%s
		(memory (export "memory") 2)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64) %s))`, more, body))
}

func echoGuest() []byte {
	return reactor("", `(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)
}

func answerGuest(answer string) []byte {
	return reactor(fmt.Sprintf(`(data (i32.const 1024) "%s")`, strings.ReplaceAll(answer, `"`, `\22`)),
		fmt.Sprintf(`(i64.const %d)`, 1024<<32|len(answer)))
}

func spinGuest() []byte { return reactor("", `(loop $l (br $l)) (i64.const 0)`) }

func trapGuest() []byte { return reactor("", `(unreachable)`) }

// largeGuest answers with a byte more than a result may have.
func largeGuest() []byte {
	return reactor("", fmt.Sprintf(`(drop (memory.grow (i32.const 32))) (i64.const %d)`, whisk.MaxResultBytes+1))
}

// logGuest writes a line to each stream, and echoes.
func logGuest() []byte {
	return reactor(`
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(data (i32.const 1024) "hello stdout\nhello stderr\n")
		(data (i32.const 2048) "\00\04\00\00\0d\00\00\00\0d\04\00\00\0d\00\00\00")`, `
		(drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2064)))
		(drop (call $write (i32.const 2) (i32.const 2056) (i32.const 1) (i32.const 2064)))
		(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)
}

// environGuest answers with its environment, the entries parted by a bar.
func environGuest() []byte {
	return reactor(`
		(import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
		(data (i32.const 65528) "{\22env\22:\22")`, `
		(local $at i32) (local $end i32)
		(drop (call $sizes (i32.const 0) (i32.const 4)))
		(drop (call $get (i32.const 1024) (i32.const 65536)))
		(local.set $end (i32.add (i32.const 65536) (i32.load (i32.const 4))))
		(local.set $at (i32.const 65536))
		(loop $next
			(if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 0x7c))))
			(local.set $at (i32.add (local.get $at) (i32.const 1)))
			(br_if $next (i32.lt_u (local.get $at) (local.get $end))))
		(i32.store16 (local.get $end) (i32.const 0x7d22))
		(i64.or (i64.const 0xfff800000000) (i64.extend_i32_u (i32.sub (local.get $end) (i32.const 65526))))`)
}

// annotationOf decodes an annotation of a record.
func annotationOf[T any](t testing.TB, record *whisk.Activation, key string) (value T, ok bool) {
	t.Helper()
	raw, ok := record.Annotations.Get(key)
	if ok {
		require.NoError(t, json.Unmarshal(raw, &value), "annotation %s", key)
	}
	return value, ok
}
