package sandbox_test

import (
	"encoding/json"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/ram"
)

// BenchmarkIdle tells the memory of an instance that has run once, was put back
// and waits for the next activation. What instances share, code and snapshot, is
// there before the first that counts. Pages that several mappings share count in
// parts: the snapshot's would count for each instance otherwise.
func BenchmarkIdle(b *testing.B) {
	for _, tc := range []struct {
		name   string
		binary func(*testing.B) []byte
	}{{"wat", addGuest}, {"c", cAddGuest}, {"go", goAddGuest}} {
		b.Run(tc.name, func(b *testing.B) {
			const instances = 200
			s := newSnapshotted(b, tc.binary(b))
			s.idle(b)
			for b.Loop() {
				before := proportionalBytes()
				for range instances {
					s.idle(b)
				}
				b.ReportMetric((proportionalBytes()-before)/instances/1024, "KiB/instance")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// snapshotted is a guest after its start-up.
type snapshotted struct {
	module   engine.Snapshotter
	contract abi.Contract
	snapshot engine.Snapshot
}

func newSnapshotted(b *testing.B, binary []byte) snapshotted {
	b.Helper()
	rt, err := wazero.NewCompiler(b.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(b, err)
	b.Cleanup(func() { _ = rt.Close(b.Context()) })
	module, err := rt.Compile(b.Context(), binary)
	require.NoError(b, err)
	s := snapshotted{module: module.(engine.Snapshotter)}
	s.contract, err = abi.Detect(module.Exports(), "")
	require.NoError(b, err)
	ctx := host.NewContext(wasi.NewContext(b.Context(), wasi.NewSystem(wasi.Config{})), host.NewSystem(host.Config{}))
	first, err := module.Instantiate(ctx, engine.Limits{})
	require.NoError(b, err)
	require.NoError(b, s.contract.Initialize(ctx, first))
	for _, preparing := range []string{"ow_warm_up", "ow_rehearse"} {
		if _, err := first.Call(ctx, preparing); err != nil {
			require.ErrorIs(b, err, engine.ErrNoExport)
		}
	}
	s.snapshot, err = s.module.Capture(first)
	require.NoError(b, err)
	require.NoError(b, first.Close(ctx))
	return s
}

// idle makes an instance that stays until the benchmark ends.
func (s snapshotted) idle(b *testing.B) {
	b.Helper()
	ctx := host.NewContext(wasi.NewContext(b.Context(), wasi.NewSystem(wasi.Config{})), host.NewSystem(host.Config{}))
	i, err := s.module.Restore(ctx, s.snapshot, engine.Limits{MemoryPages: sandbox.DefaultMemoryPages})
	require.NoError(b, err)
	b.Cleanup(func() { _ = i.Close(b.Context()) })
	_, err = s.contract.Invoke(ctx, i, abi.Input{Value: json.RawMessage(`{"param1":5,"param2":4}`), MaxResult: 1 << 20}, nil)
	require.NoError(b, err)
	require.NoError(b, i.(engine.Resetter).Reset())
}

// proportionalBytes is this process's share of the memory in RAM.
func proportionalBytes() float64 {
	debug.FreeOSMemory()
	return float64(ram.Proportional(os.Getpid()))
}
