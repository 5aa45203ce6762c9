package rewrite_test

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine/rewrite"
)

var (
	errDeadline = errors.New("deadline")
	errOverflow = errors.New("stack overflow")
)

// fuel is what the tests' host grants at a time.
const fuel = 20_000

// meter is the host's side of the guard for one call.
type meter struct {
	deadline  time.Time // zero for none
	cancelled atomic.Bool
	onTick    func()

	onOverflow func()
}

type meterKey struct{}

func withMeter(ctx context.Context, m *meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func (m *meter) check() {
	if m.onTick != nil {
		m.onTick()
	}
	if m.cancelled.Load() || !m.deadline.IsZero() && time.Now().After(m.deadline) {
		panic(errDeadline)
	}
	runtime.Gosched()
}

func tick(ctx context.Context, stack []uint64) {
	m, ok := ctx.Value(meterKey{}).(*meter)
	if int32(stack[0]) < 0 {
		if ok && m.onOverflow != nil {
			m.onOverflow()
		}
		panic(errOverflow)
	}
	if ok {
		m.check()
	}
	stack[0] = fuel
}

// newRuntime gives a wazero that does nothing about guests that do not end.
func newRuntime(t testing.TB, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false))
	t.Cleanup(func() { _ = r.Close(ctx) })
	_, err := r.NewHostModuleBuilder(rewrite.ReservedModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(tick), []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
		Export(rewrite.TickName).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(lower), []api.ValueType{api.ValueTypeI32}, nil).
		Export(rewrite.LowerName).Instantiate(ctx)
	require.NoError(t, err)
	return r
}

func anonymous() wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader)
}

// A subject is an instance of a module, rewritten or not.
type subject struct {
	api.Module
	fuel, depth api.MutableGlobal
	stack       uint64
}

func instantiate(ctx context.Context, r wazero.Runtime, binary []byte, guard *rewrite.Guard) (*subject, error) {
	mod, err := r.InstantiateWithConfig(ctx, binary, anonymous())
	if err != nil {
		return nil, err
	}
	return withGuard(mod, guard), nil
}

func withGuard(mod api.Module, guard *rewrite.Guard) *subject {
	g := &subject{Module: mod}
	if guard != nil {
		g.fuel = mod.ExportedGlobal(guard.FuelExport).(api.MutableGlobal)
		g.depth = mod.ExportedGlobal(guard.DepthExport).(api.MutableGlobal)
		g.stack = uint64(guard.StackBytes)
	}
	return g
}

// refuel sets the guard up for a call.
func (g *subject) refuel() {
	if g.fuel != nil {
		g.fuel.Set(0)
		g.depth.Set(g.stack)
	}
}

func (g *subject) call(ctx context.Context, export string, args ...uint64) ([]uint64, error) {
	g.refuel()
	return g.ExportedFunction(export).Call(ctx, args...)
}

func guarded(t testing.TB, binary []byte) *rewrite.Result {
	t.Helper()
	result, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true})
	require.NoError(t, err)
	return result
}
