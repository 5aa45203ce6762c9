//go:build linux

package worker

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// BenchmarkRun is one activation in this process and in a worker's, in turns:
// what the second wall costs.
func BenchmarkRun(b *testing.B) {
	rt, err := openWazero(b.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(b, err)
	b.Cleanup(func() { _ = rt.Close(context.Background()) })
	source, err := os.ReadFile("../../examples/wat/add.wat")
	require.NoError(b, err)
	for _, tc := range []struct {
		name   string
		binary []byte
	}{
		{"tiny", wat.Must(string(source))},
		{"go", guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor)},
	} {
		module, err := rt.Compile(b.Context(), tc.binary)
		require.NoError(b, err)
		here, err := sandbox.New(sandbox.NewProgram(module), sandbox.HostFuncs(), sandbox.Policy{})
		require.NoError(b, err)
		there, err := newSupervisor(b, "wazero").Open(b.Context(), Code{Binary: tc.binary}, sandbox.Policy{})
		require.NoError(b, err)
		for _, side := range []struct {
			name string
			run  func(context.Context, sandbox.Activation) sandbox.Outcome
		}{{"sandbox", here.Run}, {"process", there.Run}} {
			b.Run(tc.name+"/"+side.name, func(b *testing.B) { one(b, side.run) })
			b.Run(tc.name+"/"+side.name+"-parallel", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						add(b, side.run)
					}
				})
			})
		}
		there.Close()
	}
}

func one(b *testing.B, run func(context.Context, sandbox.Activation) sandbox.Outcome) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		add(b, run)
	}
}

func add(b *testing.B, run func(context.Context, sandbox.Activation) sandbox.Outcome) {
	b.Helper()
	out := run(b.Context(), sandbox.Activation{Input: json.RawMessage(`{"param1":5,"param2":4}`), Deadline: time.Now().Add(time.Minute)})
	if out.Err != nil || string(out.Result) != `{"result":9}` {
		b.Errorf("Run = %s, %v", out.Result, out.Err)
	}
}

// BenchmarkOpen is a process with a module, from nothing and from one that waits.
func BenchmarkOpen(b *testing.B) {
	source, err := os.ReadFile("../../examples/wat/add.wat")
	require.NoError(b, err)
	code := Code{Binary: wat.Must(string(source))}
	for name, spares := range map[string]int{"cold": 0, "prestarted": 2} {
		b.Run(name, func(b *testing.B) {
			s := newSupervisor(b, "wazero", func(c *Config) { c.Prestarted = spares })
			for b.Loop() {
				b.StopTimer()
				for len(s.spares) < spares {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(20 * time.Millisecond) // until it is through with starting
				b.StartTimer()
				r, err := s.Open(b.Context(), code, sandbox.Policy{})
				if err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
