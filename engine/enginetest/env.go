package enginetest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// An env is an engine under test with the host functions of module test.
type env struct {
	open    Open
	config  engine.Config
	rt      engine.WasmRuntime
	entered chan struct{} // told by test.enter and test.block
	options Options
}

func newEnv(t testing.TB, open Open, config engine.Config, options Options) *env {
	t.Helper()
	e := &env{open: open, entered: make(chan struct{}, 1), options: options}
	e.config = config
	_, e.config.CheckResets = t.(*testing.T)
	e.config.HostFuncs = append(e.hostFuncs(), config.HostFuncs...)
	e.rt = e.another(t)
	return e
}

// another opens one more engine of the same configuration.
func (e *env) another(t testing.TB) engine.WasmRuntime {
	t.Helper()
	return e.with(t, e.config)
}

func (e *env) with(t testing.TB, config engine.Config) engine.WasmRuntime {
	t.Helper()
	rt, err := e.open(t.Context(), config)
	require.NoError(t, err, "open the engine")
	t.Cleanup(func() { require.NoError(t, rt.Close(context.WithoutCancel(t.Context())), "close the engine") })
	return rt
}

// errHost is what test.fail fails with.
var errHost = errors.New("error of a host function")

func (e *env) hostFuncs() []engine.HostFunc {
	i32, i64 := engine.I32, engine.I64
	return []engine.HostFunc{
		hostFunc("enter", types(), types(), func(context.Context, engine.Memory, []uint64) error {
			e.tellEntered()
			return nil
		}),
		hostFunc("block", types(), types(), func(ctx context.Context, _ engine.Memory, _ []uint64) error {
			e.tellEntered()
			<-ctx.Done()
			return context.Cause(ctx)
		}),
		hostFunc("yield", types(i64), types(i64), func(context.Context, engine.Memory, []uint64) error {
			runtime.Gosched()
			return nil
		}),
		hostFunc("fail", types(), types(), func(context.Context, engine.Memory, []uint64) error { return errHost }),
		hostFunc("panic", types(), types(), func(context.Context, engine.Memory, []uint64) error {
			var nothing *env
			nothing.rt = nil
			return nil
		}),
		hostFunc("exit", types(i32), types(), func(_ context.Context, _ engine.Memory, stack []uint64) error {
			return &engine.ExitError{Code: uint32(stack[0])}
		}),
		hostFunc("poke", types(i32, i32), types(), func(_ context.Context, mem engine.Memory, stack []uint64) error {
			return mem.PutUint32(uint32(stack[0]), uint32(stack[1]))
		}),
		hostFunc("pages", types(), types(i32), func(_ context.Context, mem engine.Memory, stack []uint64) error {
			stack[0] = uint64(len(mem) / engine.PageSize)
			return nil
		}),
	}
}

func (e *env) tellEntered() {
	select {
	case e.entered <- struct{}{}:
	default:
	}
}

func (e *env) forgetEntered() {
	select {
	case <-e.entered:
	default:
	}
}

type hostCall = func(context.Context, engine.Memory, []uint64) error

func hostFunc(name string, params, results []engine.ValueType, call hostCall) engine.HostFunc {
	return engine.HostFunc{
		Module: "test", Name: name,
		Type: engine.FuncType{Params: params, Results: results},
		Call: call,
	}
}

func types(t ...engine.ValueType) []engine.ValueType { return t }

// imports lets guests use the host functions of module test.
const imports = `
	(import "test" "enter" (func $enter))
	(import "test" "block" (func $block))
	(import "test" "yield" (func $yield (param i64) (result i64)))
	(import "test" "fail" (func $fail))
	(import "test" "panic" (func $panic))
	(import "test" "exit" (func $exit (param i32)))
	(import "test" "poke" (func $poke (param i32 i32)))
	(import "test" "pages" (func $pages (result i32)))
`

// module compiles fields in the text format.
func (e *env) module(t testing.TB, fields string) engine.Module {
	t.Helper()
	m, err := e.rt.Compile(t.Context(), wat.Must(fields))
	require.NoError(t, err, "compile %s", fields)
	closeAtEnd(t, m)
	return m
}

type closer interface {
	Close(ctx context.Context) error
}

func closeAtEnd(t testing.TB, c closer) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, c.Close(context.WithoutCancel(t.Context()))) })
}

func (e *env) instance(t testing.TB, fields string) engine.Instance {
	t.Helper()
	return e.limited(t, fields, engine.Limits{})
}

func (e *env) limited(t testing.TB, fields string, limits engine.Limits) engine.Instance {
	t.Helper()
	return instantiate(t, e.module(t, fields), limits)
}

func instantiate(t testing.TB, m engine.Module, limits engine.Limits) engine.Instance {
	t.Helper()
	instance, err := m.Instantiate(t.Context(), limits)
	require.NoError(t, err, "instantiate")
	closeAtEnd(t, instance)
	return instance
}

// call gives the single result of an export as the i32 it is.
func call(t testing.TB, instance engine.Instance, export string, args ...uint64) int32 {
	t.Helper()
	results, err := instance.Call(t.Context(), export, args...)
	require.NoError(t, err, "call %s%v", export, args)
	require.Len(t, results, 1, "call %s%v", export, args)
	return int32(uint32(results[0]))
}

// outcome instantiates and calls the export f, and gives the first error.
func (e *env) outcome(ctx context.Context, t testing.TB, fields string) error {
	t.Helper()
	return outcome(ctx, t, e.module(t, fields))
}

func outcome(ctx context.Context, t testing.TB, m engine.Module) error {
	t.Helper()
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	closeAtEnd(t, instance)
	_, err = instance.Call(ctx, "f")
	return err
}

// atOnce runs n calls beside one another and gives their errors in order.
func atOnce(n int, run func(i int) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = run(i) })
	}
	all.Wait()
	return errs
}

// hostile runs a part of a case, after which the engine has to work.
func (e *env) hostile(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		run(t)
		e.servesNext(t)
	})
}

// requireInvalid wants an InvalidModuleError.
func requireInvalid(t testing.TB, err error, of string, args ...any) {
	t.Helper()
	if _, ok := errors.AsType[*engine.InvalidModuleError](err); !ok {
		require.Failf(t, "not an InvalidModuleError", "got %v from "+of, append([]any{err}, args...)...)
	}
}
