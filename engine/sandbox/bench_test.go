package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// benchTemplate compiles a guest on the default engine.
func benchTemplate(b *testing.B, binary []byte, policy sandbox.Policy, wrap ...func(engine.Module) engine.Module) *sandbox.Template {
	b.Helper()
	rt, err := wazero.NewCompiler(b.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(b, err)
	b.Cleanup(func() { _ = rt.Close(b.Context()) })
	module, err := rt.Compile(b.Context(), binary)
	require.NoError(b, err)
	for _, w := range wrap {
		module = w(module)
	}
	program := sandbox.NewProgram(module)
	b.Cleanup(func() { _ = program.Close(context.WithoutCancel(b.Context())) })
	tpl, err := sandbox.New(program, sandbox.HostFuncs(), policy)
	require.NoError(b, err)
	return tpl
}

// neverReset hides that instances can be put back, so that each activation has a
// new one, from the snapshot.
func neverReset(m engine.Module) engine.Module { return unresettable{m.(engine.Snapshotter)} }

type unresettable struct{ engine.Snapshotter }

// onceOnly is an instance and nothing more.
type onceOnly struct{ engine.Instance }

func (m unresettable) Instantiate(ctx context.Context, limits engine.Limits) (engine.Instance, error) {
	i, err := m.Snapshotter.Instantiate(ctx, limits)
	return onceOnly{i}, err
}

func (m unresettable) Capture(i engine.Instance) (engine.Snapshot, error) {
	return m.Snapshotter.Capture(i.(onceOnly).Instance)
}

func (m unresettable) Restore(ctx context.Context, from engine.Snapshot, limits engine.Limits) (engine.Instance, error) {
	i, err := m.Snapshotter.Restore(ctx, from, limits)
	return onceOnly{i}, err
}

// usualContext is what an invoker tells of an activation.
func usualContext() abi.Context {
	return abi.Context{
		{Name: "namespace", Value: "guest"},
		{Name: "action_name", Value: "/guest/add"},
		{Name: "activation_id", Value: "0123456789abcdef0123456789abcdef"},
		{Name: "transaction_id", Value: "0123456789abcdef0123456789abcdef"},
		{Name: "deadline", Value: "1700000000000"},
	}
}

// BenchmarkFresh is one activation in a sandbox that is as new, the median of its
// parts beside the mean of the whole: in an instance that was put back, in a new
// one from the snapshot, and in a new one that goes through the guest's start-up.
func BenchmarkFresh(b *testing.B) {
	add := json.RawMessage(`{"param1":5,"param2":4}`)
	fromSnapshot := []func(engine.Module) engine.Module{neverReset}
	for _, tc := range []struct {
		name    string
		binary  func(*testing.B) []byte
		policy  sandbox.Policy
		context abi.Context
		wrap    []func(engine.Module) engine.Module
	}{
		{name: "wat", binary: addGuest},
		{name: "wat-new", binary: addGuest, wrap: fromSnapshot},
		{name: "wat-anew", binary: addGuest, policy: sandbox.Policy{NoSnapshot: true}},
		{name: "c", binary: cAddGuest},
		{name: "c-new", binary: cAddGuest, wrap: fromSnapshot},
		{name: "go", binary: goAddGuest},
		{name: "go-with-context", binary: goAddGuest, context: usualContext()},
		{name: "go-new", binary: goAddGuest, wrap: fromSnapshot},
		{name: "go-anew", binary: goAddGuest, policy: sandbox.Policy{NoSnapshot: true}},
		{name: "wat-command", binary: func(*testing.B) []byte { return wat.Must(addsProgram) }},
		{name: "wat-command-forked", binary: func(*testing.B) []byte { return wat.Must(addsProgram) }, policy: sandbox.Policy{Fork: true}},
		{name: "go-plain-command", binary: goPlainCommand},
		{name: "go-plain-command-forked", binary: goPlainCommand, policy: sandbox.Policy{Fork: true}},
		{name: "go-command", binary: goAddCommand},
		{name: "go-command-anew", binary: goAddCommand, policy: sandbox.Policy{NoSnapshot: true}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			tpl := benchTemplate(b, tc.binary(b), tc.policy, tc.wrap...)
			var whole, instantiate, run, end []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				out := tpl.Run(b.Context(), sandbox.Activation{Input: add, Context: tc.context, Deadline: time.Now().Add(time.Minute)})
				if out.Err != nil || string(out.Result) != `{"result":9}` {
					b.Fatalf("Run = %s, %v", out.Result, out.Err)
				}
				whole = append(whole, time.Since(began))
				instantiate = append(instantiate, out.Timings.Instantiate)
				run = append(run, out.Timings.Run)
				end = append(end, out.Timings.Close)
			}
			b.ReportMetric(median(whole), "median-ns")
			b.ReportMetric(median(instantiate), "instantiate-ns")
			b.ReportMetric(median(run), "call-ns")
			b.ReportMetric(median(end), "close-ns")
		})
	}
}

// BenchmarkParallel is BenchmarkFresh by as many goroutines as -cpu says:
// activations of one template at once share next to nothing.
func BenchmarkParallel(b *testing.B) {
	for _, tc := range []struct {
		name   string
		binary func(*testing.B) []byte
	}{
		{"wat", addGuest},
		{"c", cAddGuest},
		{"go", goAddGuest},
	} {
		b.Run(tc.name, func(b *testing.B) {
			tpl := benchTemplate(b, tc.binary(b), sandbox.Policy{})
			add := json.RawMessage(`{"param1":5,"param2":4}`)
			require.NoError(b, tpl.Run(b.Context(), sandbox.Activation{Input: add}).Err)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					out := tpl.Run(b.Context(), sandbox.Activation{Input: add, Deadline: time.Now().Add(time.Minute)})
					if out.Err != nil {
						b.Error("Run =", out.Err)
						return
					}
				}
			})
		})
	}
}

func goAddGuest(b *testing.B) []byte {
	b.Helper()
	return guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor)
}

func goAddCommand(b *testing.B) []byte {
	b.Helper()
	return guesttest.Build(b, "wasmwhisk/examples/add", guest.Command)
}

// goPlainCommand adds, too, and knows nothing of the SDK.
func goPlainCommand(b *testing.B) []byte {
	b.Helper()
	return guesttest.Build(b, "wasmwhisk/engine/sandbox/testdata/forked", guest.Command)
}

// cAddGuest is the same in C.
func cAddGuest(b *testing.B) []byte {
	b.Helper()
	return guesttest.BuildC(b, "../../examples/c/add.c")
}

// addGuest is the add example that is written by hand.
func addGuest(b *testing.B) []byte {
	b.Helper()
	src, err := os.ReadFile("../../examples/wat/add.wat")
	require.NoError(b, err)
	return wat.Must(string(src))
}

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2])
}

// BenchmarkBlocked is a thousand activations at once that wait 300 ms each in a
// host call, beside one alone.
func BenchmarkBlocked(b *testing.B) {
	client, err := host.NewClient(host.Policy{Allow: []string{"*"}})
	require.NoError(b, err)
	const waits = `(module (import "http" "get" (func $get (result i32)))
	  (memory (export "memory") 1) (data (i32.const 0) "{}")
	  (func (export "ow_alloc") (param i32) (result i32) (i32.const 64))
	  (func (export "ow_run") (param i32 i32) (result i64) (drop (call $get)) (i64.const 2)))`
	tpl := benchTemplate(b, wat.Must(waits), sandbox.Policy{Capabilities: sandbox.Capabilities{HTTP: client}})
	for _, n := range []int{1, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			debug.FreeOSMemory()
			for b.Loop() {
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() {
						if out := tpl.Run(b.Context(), sandbox.Activation{Input: json.RawMessage(`{}`)}); out.Err != nil {
							b.Error(out.Err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(status(b, "Threads"), "os-threads")
			b.ReportMetric(status(b, "VmHWM")/1024, "peak-rss-MiB")
		})
	}
}

// status reads a number out of what Linux says about this process.
func status(b *testing.B, field string) float64 {
	b.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Skip("no /proc/self/status here:", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), field+":"); ok {
			n, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			require.NoError(b, err)
			return n
		}
	}
	b.Fatalf("no %s in /proc/self/status", field)
	return 0
}
