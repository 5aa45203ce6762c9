package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
	"wasmwhisk/internal/wat"
)

// Benchmark measures the engines that open makes: each step of the life of a
// small guest and of reactor, a module built with our SDK that adds param1 and
// param2 (nil leaves it out), the cost of a host function, and how late a
// spinning guest is stopped.
func Benchmark(b *testing.B, open Open, reactor []byte) {
	e := newEnv(b, open, engine.Config{HostFuncs: append(wasi.Functions(), host.Functions()...)}, Options{})
	guests := []benchGuest{{name: "wat", binary: wat.Must(adder), prepare: nothing, run: runAdder}}
	if reactor != nil {
		guests = append(guests, benchGuest{name: "reactor", binary: reactor, prepare: initialize, run: runReactor})
	}
	for _, g := range guests {
		b.Run(g.name, func(b *testing.B) { e.benchmark(b, g) })
	}
	b.Run("host call", e.benchmarkHostCall)
	b.Run("deadline", e.benchmarkDeadline)
	b.Run("blocked", e.benchmarkBlocked)
}

const adder = `(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))`

// A benchGuest is prepared once per instance and then run.
type benchGuest struct {
	name         string
	binary       []byte
	prepare, run func(ctx context.Context, instance engine.Instance) error
}

func (e *env) benchmark(b *testing.B, g benchGuest) {
	b.Helper()
	ctx := wasi.NewContext(b.Context(), wasi.NewSystem(wasi.Config{}))
	ctx = host.NewContext(ctx, host.NewSystem(host.Config{}))
	m, err := e.rt.Compile(ctx, g.binary)
	require.NoError(b, err)
	closeAtEnd(b, m)
	b.Run("compile", func(b *testing.B) { e.benchmarkCompile(b, g.binary) })
	b.Run("load", func(b *testing.B) { e.benchmarkLoad(b, g.binary) })
	b.Run("instantiate and close", func(b *testing.B) {
		each(b, func() error {
			instance, err := m.Instantiate(ctx, engine.Limits{})
			if err != nil {
				return err
			}
			return instance.Close(ctx)
		})
	})
	b.Run("call", func(b *testing.B) {
		instance := instantiate(b, m, engine.Limits{})
		require.NoError(b, g.prepare(ctx, instance))
		each(b, func() error { return g.run(ctx, instance) })
	})
	b.Run("fresh", func(b *testing.B) { each(b, func() error { return g.fresh(ctx, m) }) })
}

// fresh is a whole activation in an instance of its own.
func (g benchGuest) fresh(ctx context.Context, m engine.Module) error {
	instance, err := m.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return err
	}
	if err := g.prepare(ctx, instance); err != nil {
		return err
	}
	if err := g.run(ctx, instance); err != nil {
		return err
	}
	return instance.Close(ctx)
}

func each(b *testing.B, run func() error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkCompile uses a new engine each time: engines may remember binaries.
func (e *env) benchmarkCompile(b *testing.B, binary []byte) {
	b.Helper()
	each(b, func() error {
		b.StopTimer()
		rt, err := e.open(b.Context(), e.config)
		require.NoError(b, err)
		b.StartTimer()
		_, err = rt.Compile(b.Context(), binary)
		b.StopTimer()
		require.NoError(b, rt.Close(b.Context()))
		b.StartTimer()
		return err
	})
}

func (e *env) benchmarkLoad(b *testing.B, binary []byte) {
	b.Helper()
	p, ok := e.rt.(engine.Precompiler)
	if !ok {
		b.Skip("the engine keeps no artefacts")
	}
	dir := b.TempDir()
	require.NoError(b, p.Precompile(b.Context(), binary, dir))
	each(b, func() error {
		m, err := p.Load(b.Context(), binary, dir)
		if err != nil {
			return err
		}
		return m.Close(b.Context())
	})
	b.ReportMetric(float64(sizeOf(b, dir)), "artefact-bytes")
}

func sizeOf(b *testing.B, dir string) (size int64) {
	b.Helper()
	require.NoError(b, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	}))
	return size
}

func nothing(context.Context, engine.Instance) error { return nil }

func runAdder(ctx context.Context, instance engine.Instance) error {
	got, err := instance.Call(ctx, "add", 2, 3)
	if err == nil && got[0] != 5 {
		err = fmt.Errorf("add(2, 3) = %d", got[0])
	}
	return err
}

func initialize(ctx context.Context, instance engine.Instance) error {
	_, err := instance.Call(ctx, "_initialize")
	return err
}

func runReactor(ctx context.Context, instance engine.Instance) error {
	const input, want = `{"param1":2,"param2":3}`, `{"result":5}`
	at, err := instance.Call(ctx, "ow_alloc", uint64(len(input)))
	if err != nil {
		return err
	}
	room, err := instance.Memory().Range(uint32(at[0]), uint32(len(input)))
	if err != nil {
		return err
	}
	copy(room, input)
	packed, err := instance.Call(ctx, "ow_run", at[0], uint64(len(input)))
	if err != nil {
		return err
	}
	got, err := instance.Memory().Range(uint32(packed[0]>>32), uint32(packed[0]))
	if err == nil && string(got) != want {
		err = fmt.Errorf("ow_run(%s) = %s, want %s", input, got, want)
	}
	return err
}

// benchmarkHostCall has the guest loop, so that little but the host function
// counts.
func (e *env) benchmarkHostCall(b *testing.B) {
	config := engine.Config{HostFuncs: []engine.HostFunc{
		hostFunc("nothing", types(), types(), func(context.Context, engine.Memory, []uint64) error { return nil }),
	}}
	other := &env{open: e.open, config: config, rt: e.with(b, config)}
	instance := other.instance(b, `(import "test" "nothing" (func $nothing)) (memory (export "m") 1)
		(func (export "f") (param i32)
			(loop (call $nothing) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))`)
	const calls = 1000
	each(b, func() error {
		_, err := instance.Call(b.Context(), "f", calls)
		return err
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/host-call")
}

func (e *env) benchmarkDeadline(b *testing.B) {
	m := e.module(b, `(func (export "f") (loop (br 0)))`)
	var late time.Duration
	for b.Loop() {
		late += lateness(b, m)
	}
	b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-late/op")
}

// lateness is how long after its deadline a guest is stopped.
func lateness(b *testing.B, m engine.Module) time.Duration {
	b.Helper()
	instance, err := m.Instantiate(b.Context(), engine.Limits{})
	require.NoError(b, err)
	ctx, stop := context.WithTimeout(b.Context(), 5*time.Millisecond)
	defer stop()
	_, err = instance.Call(ctx, "f")
	deadline, _ := ctx.Deadline()
	late := time.Since(deadline)
	require.ErrorIs(b, err, context.DeadlineExceeded)
	require.NoError(b, instance.Close(b.Context()))
	return late
}

// benchmarkBlocked has a thousand guests wait in a host function, and tells how
// much longer all of them take than one, and with how many threads.
func (e *env) benchmarkBlocked(b *testing.B) {
	const guests, blocked = 1000, 300 * time.Millisecond
	config := engine.Config{HostFuncs: []engine.HostFunc{
		hostFunc("sleep", types(), types(), func(context.Context, engine.Memory, []uint64) error {
			<-time.After(blocked)
			return nil
		}),
	}}
	other := &env{open: e.open, config: config, rt: e.with(b, config)}
	m := other.module(b, `(import "test" "sleep" (func $sleep)) (memory (export "m") 1) (func (export "f") call $sleep)`)
	for b.Loop() {
		for _, err := range atOnce(guests, func(int) error { return callOnce(b.Context(), m) }) {
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(blocked), "x-of-one")
	b.ReportMetric(threads(), "threads")
}

// threads is how many threads the system has for this process, 0 if it does not
// tell.
func threads() float64 {
	tasks, _ := os.ReadDir("/proc/self/task")
	return float64(len(tasks))
}
