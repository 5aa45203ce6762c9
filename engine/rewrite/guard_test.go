package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// spinners run for longer than any test, each in its own way, from export "f0".
var spinners = map[string]string{
	"br":         `(func (export "f0") (loop (br 0)))`,
	"br_if":      `(func (export "f0") (loop (br_if 0 (i32.const 1))))`,
	"br_table":   `(func (export "f0") (loop (br_table 0 0 (i32.const 7))))`,
	"nested":     `(func (export "f0") (local i32) (loop (local.set 0 (i32.const 3)) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (br 0)))`,
	"outwards":   `(func (export "f0") (loop (block (loop (br_if 1 (i32.const 1)) (br 0))) (br 0)))`,
	"parameters": `(func (export "f0") (i32.const 1) (loop (param i32) (i32.add (i32.const 1)) (br 0)))`,
	"two values": `(func (export "f0") (i32.const 1) (i64.const 2) (loop (param i32 i64) (result i32 i64) (br 0)) (drop) (drop))`,
	"results":    `(func (export "f0") (drop (loop (result i32) (br 0))))`,
	"continue from within": `(func (export "f0") (local i32)
		(loop $l (block (block (br_table 0 1 $l (local.get 0))) (local.set 0 (i32.const 1)) (br $l)) (local.set 0 (i32.const 9)) (br $l)))`,
	"in an unused result": `(func (export "f0") (i32.const 5) (drop (i32.add (loop (result i32) (br 0)))))`,
	"exponential recursion": `(func $f (export "f0") (call $g (i32.const 100)))
		(func $g (param i32) (if (local.get 0) (then (call $g (i32.sub (local.get 0) (i32.const 1))) (call $g (i32.sub (local.get 0) (i32.const 1))))))`,
	"exponential chain":    chain(60),
	"endless fills":        `(memory 1000) (func (export "f0") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536000)) (br 0)))`,
	"endless copies":       `(memory 1000) (func (export "f0") (loop (memory.copy (i32.const 8) (i32.const 0) (i32.const 65530000)) (br 0)))`,
	"fills without a loop": `(memory 1000) (func (export "f0")` + strings.Repeat(`(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536000))`, 1000) + `)`,
	"endless table fills":  `(table 10000 funcref) (func (export "f0") (loop (table.fill (i32.const 0) (ref.null func) (i32.const 10000)) (br 0)))`,
	"endless growing":      `(memory 1) (func (export "f0") (loop (drop (memory.grow (i32.const 0))) (br 0)))`,
	"long rounds":          `(global $g (mut i64) (i64.const 1)) (func (export "f0") (loop` + strings.Repeat(` (global.set $g (i64.div_u (i64.const -1) (i64.or (global.get $g) (i64.const 1))))`, 20000) + ` (br 0)))`,
	"calls of short loops": `(func $g (local i32) (local.set 0 (i32.const 400)) (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))) (func (export "f0") (loop (call $g) (br 0)))`,
	"calls of long bodies": `(global $g (mut i64) (i64.const 1)) (func $g` + strings.Repeat(` (global.set $g (i64.div_u (i64.const -1) (i64.or (global.get $g) (i64.const 1))))`, 20000) + `) (func (export "f0") (loop (call $g) (br 0)))`,
	"indirect recursion":   `(type $t (func (param i32))) (table 1 1 funcref) (elem (i32.const 0) $g) (func (export "f0") (call $g (i32.const 100))) (func $g (param i32) (if (local.get 0) (then (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)) (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))`,
	"slow instructions in calls of short loops": `(func $g (param f64) (local i32) (local.set 1 (i32.const 79)) (loop (local.set 0 ` +
		strings.Repeat("(f64.sqrt ", 400) + "(local.get 0)" + strings.Repeat(")", 400) + `)
		(br_if 0 (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))) (func (export "f0") (loop (call $g (f64.const 5)) (br 0)))`,
	"waiting for memory": `(memory 2000) (func (export "f0") (local i32 i32)
		(loop (i32.store (local.get 0) (i32.and (i32.add (local.get 0) (i32.const 1000004)) (i32.const 0x3fffffc)))
			(br_if 0 (local.tee 0 (i32.load (local.get 0)))))
		(loop (local.set 0 ` + strings.Repeat("(i32.load ", 500) + "(local.get 0)" + strings.Repeat(")", 500) + `) (br 0)))`,
	"branches out of short loops": `(func $g (local i32) (local.set 0 (i32.const 400))
		(loop (br_if 1 (i32.eqz (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (br 0))) (func (export "f0") (loop (call $g) (br 0)))`,
	"in the start function": `(func $s (loop (br 0))) (start $s)`,
}

// chain is functions that call the next one twice each.
func chain(n int) string {
	var b strings.Builder
	b.WriteString(`(func (export "f0") (call 1))`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "(func (call %d) (call %[1]d))", i+1)
	}
	return b.String() + "(func)"
}

// TestSpinnersStop does not run beside other tests: it looks at the clock.
func TestSpinnersStop(t *testing.T) {
	for name, source := range spinners {
		t.Run(name, func(t *testing.T) {
			result := guarded(t, wat.Must(source))
			r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
			compiled, err := r.CompileModule(context.Background(), result.Binary)
			require.NoError(t, err)
			overshoot := make([]time.Duration, 3)
			for i := range overshoot {
				overshoot[i] = spin(t, r, compiled, result, 20*time.Millisecond)
			}
			t.Logf("overshoot %v", overshoot)
			// The best of three, and far from what is normal: the machine may be busy.
			assert.Less(t, slices.Min(overshoot), 250*time.Millisecond)
		})
	}
}

// spin runs a guest against a deadline and tells by how much it passed it.
func spin(t *testing.T, r wazero.Runtime, compiled wazero.CompiledModule, result *rewrite.Result, allowed time.Duration) time.Duration {
	t.Helper()
	m := &meter{deadline: time.Now().Add(allowed)}
	ctx := withMeter(context.Background(), m)
	mod, err := r.InstantiateModule(ctx, compiled, anonymous())
	if err == nil {
		defer mod.Close(ctx)
		m.deadline = time.Now().Add(allowed)
		_, err = withGuard(mod, result.Guard).call(ctx, "f0")
	}
	require.ErrorIs(t, err, errDeadline)
	return time.Since(m.deadline)
}

// TestCollectorRunsBesideSpinners sees to it that a guest lets the collector stop
// the world.
func TestCollectorRunsBesideSpinners(t *testing.T) {
	t.Parallel()
	result := guarded(t, wat.Must(spinners["nested"]))
	r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
	ctx := context.Background()
	stop := &meter{deadline: time.Now().Add(time.Minute)}
	started, ended := make(chan struct{}), make(chan error)
	s, err := instantiate(ctx, r, result.Binary, result.Guard)
	require.NoError(t, err)
	stop.onTick = sync.OnceFunc(func() { close(started) })
	go func() {
		_, err := s.call(withMeter(ctx, stop), "f0")
		ended <- err
	}()
	<-started
	begin := time.Now()
	for range 10 {
		runtime.GC()
	}
	t.Logf("ten collections took %v", time.Since(begin))
	assert.Less(t, time.Since(begin), 30*time.Second, "the guest ran for as long as it was let")
	stop.cancelled.Store(true)
	require.ErrorIs(t, <-ended, errDeadline)
}

// recursions nest calls without a bound.
func recursions() map[string][]byte {
	binaries := map[string][]byte{"vectors": manyVectors(1000)}
	for name, source := range map[string]string{
		"tiny frames":                          `(func $f (export "f0") (call $f))`,
		"not in tail position":                 `(func $f (export "f0") (result i32) (i32.add (call $f) (i32.const 1)))`,
		"mutual":                               `(func $f (export "f0") (call $g)) (func $g (call $h)) (func $h (call $f))`,
		"indirect":                             `(type $t (func)) (table 1 1 funcref) (elem (i32.const 0) $f) (func $f (export "f0") (call_indirect (type $t) (i32.const 0)))`,
		"indirect through a table that is set": `(type $t (func)) (table 1 1 funcref) (elem declare func $f) (func $f (export "f0") (table.set (i32.const 0) (ref.func $f)) (call_indirect (type $t) (i32.const 0)))`,
		"3000 locals":                          manyLocals(3000),
		"3000 operands":                        manyOperands(3000),
		"1000 parameters":                      manyParameters(1000),
		"start function":                       `(func $f (call $f)) (start $f)`,
		"meetings after blocks":                meetingsAfterBlocks(100, 100),
		"meetings after rounds":                meetingsAfterRounds(100, 20),
		"locals in loops":                      localsInLoops(100, 20),
		"deep chain without recursion":         longChain(300, 400),
	} {
		binaries[name] = wat.Must(source)
	}
	return binaries
}

// manyLocals keeps values in locals across a call.
func manyLocals(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(memory 1) (func $f (export \"f0\") (result i64) (local %s)", strings.Repeat("i64 ", n))
	for i := range n {
		fmt.Fprintf(&b, "(local.set %d (i64.load offset=%d (i32.const 0)))", i, 8*i)
	}
	b.WriteString("(call $f)")
	for i := range n {
		fmt.Fprintf(&b, "(i64.add (local.get %d))", i)
	}
	return b.String() + ")"
}

// manyOperands keeps them on the operand stack.
func manyOperands(n int) string {
	var b strings.Builder
	b.WriteString(`(memory 1) (func $f (export "f0") (result i64)`)
	for i := range n {
		fmt.Fprintf(&b, "(i64.load offset=%d (i32.const 0))", 8*i)
	}
	return b.String() + "(call $f)" + strings.Repeat("(i64.add)", n) + ")"
}

func manyParameters(n int) string {
	return `(func (export "f0") ` + strings.Repeat("(i64.const 1)", n) + "(call $g)) (func $g (param " + strings.Repeat("i64 ", n) + ")" +
		args(n) + "(call $g))"
}

func args(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "(local.get %d)", i)
	}
	return b.String()
}

// manyVectors keeps vectors in locals, which the text assembler does not know.
func manyVectors(n int) []byte {
	body := concat([]byte{1}, uleb(n), []byte{0x7b})
	for i := range n {
		body = concat(body, []byte{0x41, 0, 0xfd, 0, 0}, uleb(16*i), []byte{0x21}, uleb(i))
	}
	body = append(body, 0x10, 0)
	for i := range n {
		body = concat(body, []byte{0x41, 0, 0x20}, uleb(i), []byte{0xfd, 0x0b, 0}, uleb(16*i))
	}
	body = append(body, 0x0b)
	return concat([]byte("\x00asm\x01\x00\x00\x00"), vec(1, 1, []byte{0x60, 0, 0}), vec(3, 1, []byte{0}), vec(5, 1, []byte{0, 1}),
		vec(7, 1, []byte("\x02f0\x00\x00")), vec(10, 1, concat(uleb(len(body)), body)))
}

// localsInLoops changes locals in nested loops, so that every loop has values of
// its own for them.
func localsInLoops(locals, loops int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(memory 1) (func $f (export \"f0\") (result i64) (local %s)", strings.Repeat("i64 ", locals))
	b.WriteString(strings.Repeat("(loop ", loops) + "(drop (call $f))")
	for i := range locals {
		fmt.Fprintf(&b, "(local.set %d (i64.add (local.get %[1]d) (i64.load offset=%d (i32.const 0))))", i, 8*i)
	}
	for range loops {
		b.WriteString("(br_if 0 (i32.load (i32.const 0))))")
	}
	b.WriteString("(i64.const 0)")
	for i := range locals {
		fmt.Fprintf(&b, "(i64.add (local.get %d))", i)
	}
	return b.String() + ")"
}

// meetingsAfterBlocks lets every block end with locals that may have either of
// two values.
func meetingsAfterBlocks(locals, blocks int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(memory 1) (func $f (export \"f0\") (result i64) (local %s)", strings.Repeat("i64 ", locals))
	for i := range locals {
		fmt.Fprintf(&b, "(local.set %d (i64.load offset=%d (i32.const 0)))", i, 8*i)
	}
	b.WriteString(strings.Repeat("(block ", blocks) + "(br_table")
	for i := range blocks {
		fmt.Fprintf(&b, " %d", i)
	}
	b.WriteString(" (i32.load (i32.const 0)))")
	for i := range blocks {
		fmt.Fprintf(&b, ") (local.set %d (i64.add (local.get %[1]d) (i64.const 1)))", i%locals)
	}
	b.WriteString("(drop (call $f)) (i64.const 0)")
	for i := range locals {
		fmt.Fprintf(&b, "(i64.add (local.get %d))", i)
	}
	return b.String() + ")"
}

// meetingsAfterRounds writes locals in nested loops and reads them in the next
// round of the outermost.
func meetingsAfterRounds(locals, loops int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(memory 1) (func $f (export \"f0\") (result i64) (local %s) (loop ", strings.Repeat("i64 ", locals))
	for i := range locals {
		fmt.Fprintf(&b, "(i64.store offset=%d (i32.const 0) (local.get %d))", 8*i, i)
	}
	b.WriteString("(drop (call $f))" + strings.Repeat("(loop ", loops))
	for i := range locals {
		fmt.Fprintf(&b, "(if (i32.load (i32.const 0)) (then (local.set %d (i64.load offset=%d (i32.const 0)))))", i, 8*i)
	}
	b.WriteString(strings.Repeat("(br_if 0 (i32.load (i32.const 4))))", loops))
	return b.String() + "(br_if 0 (i32.load (i32.const 0)))) (i64.const 0))"
}

// longChain calls function after function, each with a frame of its own.
func longChain(length, locals int) string {
	var b strings.Builder
	b.WriteString(`(memory 1) (func (export "f0") (drop (call 1)))`)
	for f := 1; f <= length; f++ {
		fmt.Fprintf(&b, "(func (result i64) (local %s)", strings.Repeat("i64 ", locals))
		for i := range locals {
			fmt.Fprintf(&b, "(local.set %d (i64.load offset=%d (i32.const 0)))", i, 8*i)
		}
		if f < length {
			fmt.Fprintf(&b, "(call %d)", f+1)
		} else {
			b.WriteString("(unreachable)")
		}
		for i := range locals {
			fmt.Fprintf(&b, "(i64.add (local.get %d))", i)
		}
		b.WriteString(")")
	}
	return b.String()
}

// TestRecursionIsBounded overflows the stack in all ways, many guests at once:
// the process stays small.
func TestRecursionIsBounded(t *testing.T) {
	t.Parallel()
	for name, binary := range recursions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := guarded(t, binary)
			for engine, config := range runtimeConfigs() {
				r := newRuntime(t, config)
				err := overflow(r, result)
				if engine == "interpreter" && err != nil && strings.Contains(err.Error(), "stack overflow") {
					continue // wazero's own limit of 2,000 calls may come first
				}
				assert.ErrorIs(t, err, errOverflow, engine)
			}
		})
	}
}

// TestStackOfRecursion holds guests at the point where their stacks are deepest,
// and looks at what all of them take.
func TestStackOfRecursion(t *testing.T) {
	if testing.Short() {
		t.Skip("fills stacks, which takes the race detector half a minute")
	}
	for name, binary := range recursions() {
		t.Run(name, func(t *testing.T) {
			const guests = 16
			result := guarded(t, binary)
			r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
			compiled, err := r.CompileModule(context.Background(), result.Binary)
			require.NoError(t, err)
			before := liveHeap()
			var ended sync.WaitGroup
			overflowed, release := make(chan bool, 2*guests), make(chan struct{})
			m := &meter{onOverflow: func() {
				overflowed <- true
				<-release
			}}
			for range guests {
				ended.Go(func() {
					overflowCompiled(withMeter(context.Background(), m), r, compiled, result.Guard)
					overflowed <- false
				})
			}
			for range guests {
				require.True(t, <-overflowed, "the guest ended otherwise")
			}
			each := (liveHeap() - before) / guests
			close(release)
			ended.Wait()
			t.Logf("%d KiB each", each>>10)
			assert.Less(t, each, int64(2<<20))
		})
	}
}

func liveHeap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func overflowCompiled(ctx context.Context, r wazero.Runtime, compiled wazero.CompiledModule, guard *rewrite.Guard) {
	mod, err := r.InstantiateModule(ctx, compiled, anonymous())
	if err != nil {
		return
	}
	defer mod.Close(ctx)
	_, _ = withGuard(mod, guard).call(ctx, "f0")
}

func overflow(r wazero.Runtime, result *rewrite.Result) error {
	ctx := context.Background()
	s, err := instantiate(ctx, r, result.Binary, result.Guard)
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	_, err = s.call(ctx, "f0")
	return err
}

// TestRecursionThroughTheHost nests calls by way of a host function that calls
// back, and leaves the depth alone as the guard asks it to.
func TestRecursionThroughTheHost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
	depth := 0
	_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, _ []uint64) {
			depth++
			if _, err := m.ExportedFunction("f0").Call(ctx); err != nil {
				panic(errors.Unwrap(err))
			}
		}), nil, nil).Export("back").Instantiate(ctx)
	require.NoError(t, err)
	result := guarded(t, wat.Must(`(import "host" "back" (func $back)) (func (export "f0") (call $back))`))
	err = overflow(r, result)
	assert.ErrorIs(t, err, errOverflow)
	t.Logf("%d calls deep", depth)
}

// TestDepthRecovers sees to it that calls after each other do not add up.
func TestDepthRecovers(t *testing.T) {
	t.Parallel()
	result := guarded(t, wat.Must(`
		(func $deep (param i32) (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1))))))
		(func (export "f0") (local i32) (local.set 0 (i32.const 10000))
			(loop (call $deep (i32.const 100)) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
			(call $deep (i32.const 100)) (call $deep (i32.const 100)))`))
	assert.NoError(t, overflow(newRuntime(t, wazero.NewRuntimeConfigCompiler()), result))
}

// TestReasonableDepth is what programs may rely on.
func TestReasonableDepth(t *testing.T) {
	t.Parallel()
	result := guarded(t, wat.Must(`
		(func $sum (param i64) (result i64) (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 0))
			(else (i64.add (local.get 0) (call $sum (i64.sub (local.get 0) (i64.const 1)))))))
		(func (export "f0") (drop (call $sum (i64.const 4000))))`))
	assert.NoError(t, overflow(newRuntime(t, wazero.NewRuntimeConfigCompiler()), result))
}

// TestHostileNames are guests that want at what the guard adds.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"import of tick":      `(import "wasmwhisk" "tick" (func (param i32) (result i32)))`,
		"import beside it":    `(import "wasmwhisk" "anything" (global i32))`,
		"export of fuel":      `(global (mut i32) (i32.const 0)) (export "wasmwhisk.fuel" (global 0))`,
		"export of a start":   `(func (export "wasmwhisk.start"))`,
		"export of a capture": `(func (export "wasmwhisk.g0"))`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rewrite.Rewrite(wat.Must(source), rewrite.Options{})
			_, ok := errors.AsType[*rewrite.ReservedError](err)
			assert.True(t, ok, "Rewrite(%s) = %v, want a ReservedError", source, err)
		})
	}
}

// TestHostileIndices are invalid guests that name what is not there yet.
func TestHostileIndices(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"set of the fuel":           `(func (export "refill") (global.set 0 (i32.const 0x7fffffff)))`,
		"get of the depth":          `(global i32 (i32.const 1)) (func (result i32) (global.get 2))`,
		"export of the fuel":        `(export "mine" (global 0))`,
		"offset by the fuel":        `(memory 1) (data (global.get 0) "x")`,
		"initialised by the fuel":   `(global i32 (global.get 1))`,
		"call beyond the last":      `(func (call 1))`,
		"reference beyond the last": `(func (drop (ref.func 1)))`,
		"element beyond the last":   `(table 1 funcref) (elem (i32.const 0) 1) (func)`,
		"export beyond the last":    `(export "f" (func 1)) (func)`,
		"start beyond the last":     `(start 1) (func)`,
		"local of the guard":        `(func (local.set 0 (i32.const 0)) (loop (br 0)))`,
		"local read of the guard":   `(func (param i32) (result i32) (local.get 1) (loop (br 0)))`,
		"label of an added loop":    `(func (loop (br 2)))`,
		"label in a table":          `(func (loop (br_table 0 2 (i32.const 0))))`,
		"type of tick":              `(type (func)) (func (type 1) (i32.const 0))`,
		"type of tick, called":      `(type (func)) (table 1 funcref) (func (drop (call_indirect (type 1) (i32.const 0) (i32.const 0))))`,
		"type of tick, imported":    `(type (func)) (import "m" "f" (func (type 1)))`,
		"type of tick, of a block":  `(type (func)) (func (drop (block (type 1) (i32.const 0))))`,
		"undeclared start":          `(func $s) (start $s) (func (drop (ref.func $s)))`,
		"start with a parameter":    `(func $s (param i32)) (start $s)`,
		"segment beyond the last":   `(memory 1) (func (data.drop 0))`,
		"data without a memory":     `(data (i32.const 0) "x")`,
		"offset of a wrong type":    `(memory 1) (data (i64.const 0) "x")`,
		"immutable global":          `(global i32 (i32.const 0)) (func (global.set 0 (i32.const 1)))`,
		"data for a second memory":  `(memory 1) (data (memory 1) (i32.const 0) "x")`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
			binary := wat.Must(source)
			require.Error(t, valid(ctx, r, binary), "the original")
			for variant, o := range variants() {
				result, err := rewrite.Rewrite(binary, o)
				if err == nil {
					err = valid(ctx, r, result.Binary)
				}
				assert.Error(t, err, variant)
			}
		})
	}
}

// What the walker takes for a type of one byte, the engine has to: else a guest could hide
// a loop in what only the walker takes for an index.
func TestBlockTypesAreReadAlike(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
	for first := range 0x80 {
		body := string([]byte{0x02, byte(first), 0x00, 0x00, 0x0b, 0x00, 0x0b}) // block unreachable unreachable end
		binary := []byte(module(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(10, "\x01\x08\x00"+body))
		result, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true})
		if first == 0x63 || first == 0x64 {
			assert.NoError(t, valid(t.Context(), r, binary), "%#x", first)
			assert.Error(t, err, "%#x", first)
		}
		if err == nil {
			assert.Equal(t, valid(t.Context(), r, binary) == nil, valid(t.Context(), r, result.Binary) == nil, "%#x", first)
		}
	}
}

// wazero's interpreter goes by the first byte of an opcode that has more of them than it needs.
// It may have them, and the rewriter has it run as the compiler does.
func TestPaddedOpcodes(t *testing.T) {
	t.Parallel()
	body := "\x00" + // no locals
		"\x41\x00\x41\x07\x41\x04\xfc\x8b\x80\x00\x00" + // (memory.fill (i32.const 0) (i32.const 7) (i32.const 4))
		"\x43\x00\x00\x60\x40\xfc\x81\x00" + // (i32.trunc_sat_f32_u (f32.const 3.5))
		"\x41\x00\x2d\x00\x00\x6a\x0b" // (i32.load8_u (i32.const 0)), i32.add, end
	binary := []byte(module(1, "\x01\x60\x00\x01\x7f") + section(3, "\x01\x00") + section(5, "\x01\x00\x01") +
		section(7, "\x01\x01f\x00\x00") + section(10, "\x01"+string(rune(len(body)))+body))
	parts := split(t, binary)
	require.False(t, parts.Sound(0), "for an engine to judge")
	for engine, r := range newRuntimes(t) {
		all := lowerings{}
		for _, result := range []*rewrite.Result{guarded(t, binary), &parts.Result} {
			s, err := instantiate(all.context(), r, result.Binary, result.Guard)
			require.NoError(t, err, engine)
			all.lower(r, parts, s.Module)
			results, err := s.call(all.context(), "f")
			require.NoError(t, err, engine)
			assert.Equal(t, []uint64{3 + 7}, results, engine)
		}
	}
}

// BenchmarkOverflow is what a guest that overflows its stack costs, instantiation
// included, with frames of all sizes.
func BenchmarkOverflow(b *testing.B) {
	for name, binary := range recursions() {
		b.Run(name, func(b *testing.B) {
			result := guarded(b, binary)
			r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
			compiled, err := r.CompileModule(context.Background(), result.Binary)
			require.NoError(b, err)
			for b.Loop() {
				overflowCompiled(context.Background(), r, compiled, result.Guard)
			}
		})
	}
}
