package enginetest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
)

// errStop is the cause with which the suite ends contexts.
var errStop = errors.New("stopped by the suite")

// patience bounds what should take no time. Only a hang exceeds it.
const patience = 30 * time.Second

// spinning are guests that tell that they have entered and then never end.
func spinning() map[string]string {
	return map[string]string{
		"a tight loop":        `(func $f (export "f") call $enter (loop br 0))`,
		"a loop with work":    `(memory 1) (func $f (export "f") (local $i i32) call $enter (loop (i32.store (i32.and (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 0xfffc)) (local.get $i)) (br 0)))`,
		"nested loops":        `(func $f (export "f") (local $i i32) call $enter (loop $outer (local.set $i (i32.const 1000000000)) (loop $inner (br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (br $outer)))`,
		"a loop by br_table":  `(func $f (export "f") call $enter (loop (br_table 0 0 (i32.const 5))))`,
		"a loop deep down":    `(func $g (param i32) (if (local.get 0) (then (call $g (i32.sub (local.get 0) (i32.const 1))))) (loop br 0)) (func $f (export "f") call $enter (call $g (i32.const 100)))`,
		"a loop with calls":   `(func $g) (func $f (export "f") call $enter (loop call $g br 0))`,
		"a loop through host": `(func $f (export "f") call $enter (loop (drop (call $yield (i64.const 1))) br 0))`,
		"a growing memory":    `(memory 1) (func $f (export "f") call $enter (loop (drop (memory.grow (i32.const -1))) br 0))`,
	}
}

func testSpinning(t *testing.T, e *env) {
	for name, fields := range spinning() {
		e.hostile(t, name, func(t *testing.T) { e.testStops(t, fields) })
		e.hostile(t, name+" at start", func(t *testing.T) { e.testStops(t, fields+"(start $f)") })
	}
}

func testBlocked(t *testing.T, e *env) {
	for name, fields := range map[string]string{
		"called":           `(func $f (export "f") call $block)`,
		"at start":         `(func $f (export "f") call $block) (start $f)`,
		"then spinning on": `(func $f (export "f") call $block (loop br 0))`,
	} {
		e.hostile(t, name, func(t *testing.T) { e.testStops(t, fields) })
	}
}

// testStops runs a guest that never ends, and ends its context.
func (e *env) testStops(t *testing.T, fields string) {
	m := e.module(t, imports+fields)
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- outcome(ctx, t, m) }()
	e.awaitEntered(t, ended)
	stop(errStop)
	assert.True(t, wait(t, ended) == errStop, "want the cause of the context") //nolint:errorlint // unchanged, not wrapped
	assert.NoError(t, goleak.Find(before), "something of the guest goes on")
}

// awaitEntered waits until a guest runs, which must not end before.
func (e *env) awaitEntered(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case <-e.entered:
	case err := <-ended:
		require.FailNow(t, "the guest never ran", "it ended with %v", err)
	case <-time.After(patience):
		require.FailNow(t, "the guest never ran")
	}
}

// wait gives what comes, or fails the test after a time that only a hang takes.
func wait(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "the guest goes on")
		return nil
	}
}

func testDeadline(t *testing.T, e *env) {
	for name, fields := range spinning() {
		e.hostile(t, name, func(t *testing.T) {
			m := e.module(t, imports+fields)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer stop()
			assert.ErrorIs(t, outcome(ctx, t, m), context.DeadlineExceeded)
			deadline, _ := ctx.Deadline()
			assert.Less(t, time.Since(deadline), patience)
			e.forgetEntered()
		})
	}
}

func testEndedContext(t *testing.T, e *env) {
	m := e.module(t, imports+`(func $f (export "f") call $enter (loop br 0))`)
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errStop)
	assert.ErrorIs(t, outcome(ctx, t, m), errStop)
}

// testProcessorGivenBack looks at the process for a while after guests were
// stopped. An engine that only stops waiting for them fails here.
func testProcessorGivenBack(t *testing.T, e *env) {
	const guests, while = 4, 200 * time.Millisecond
	m := e.module(t, imports+`(func $f (export "f") call $enter (loop br 0))`)
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		<-e.entered
		stop(errStop)
	}()
	for _, err := range atOnce(guests, func(int) error { return outcome(ctx, t, m) }) {
		assert.ErrorIs(t, err, errStop)
	}
	runtime.GC() // or one goes on
	before := processorTime(t)
	<-time.After(while)
	assert.Less(t, processorTime(t)-before, while*3/4, "processor time of an idle process")
}

// testGarbageCollection collects while a guest spins. The guest would end by
// itself after a while: an engine that holds the collector up fails, and does
// not hang.
func testGarbageCollection(t *testing.T, e *env) {
	e.testCollects(t, `(func $f (export "f") (local $i i64) call $enter
		(loop (br_if 0 (i64.ne (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 4000000000)))))`)
}

func (e *env) testCollects(t *testing.T, fields string) {
	m := e.module(t, imports+fields)
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- outcome(ctx, t, m) }()
	e.awaitEntered(t, ended)
	for range 3 {
		runtime.GC()
	}
	select {
	case err := <-ended:
		assert.Fail(t, "the collector waited for the guest", "which ended with %v", err)
	default:
		stop(errStop)
		assert.ErrorIs(t, wait(t, ended), errStop)
	}
	stop(nil)
}

// exponential recurses for ages without a loop, and never deep.
const exponential = `(func $g (param i32) (result i32)
		(if (result i32) (i32.lt_s (local.get 0) (i32.const 2)) (then (local.get 0))
			(else (i32.add (call $g (i32.sub (local.get 0) (i32.const 1))) (call $g (i32.sub (local.get 0) (i32.const 2)))))))
	(func $f (export "f") call $enter (drop (call $g (i32.const 48))))`

func testRecursion(t *testing.T, e *env) {
	e.hostile(t, "called", func(t *testing.T) { e.testStops(t, exponential) })
	e.hostile(t, "at start", func(t *testing.T) { e.testStops(t, exponential+"(start $f)") })
}

func testRecursionGarbage(t *testing.T, e *env) { e.testCollects(t, exponential) }

// testNativeStack overflows many stacks at once.
func testNativeStack(t *testing.T, e *env) {
	const guests = 64
	perGuest := cmp.Or(e.options.StackBytes, 4<<20)
	for name, body := range map[string]string{"small frames": "(call $f) (call $f)", "large frames": largeFrame} {
		e.hostile(t, name, func(t *testing.T) {
			m := e.module(t, `(func $f (export "f") `+body+`)`)
			before := heldByProcess()
			for _, err := range atOnce(guests, func(int) error { return outcome(t.Context(), t, m) }) {
				requireTrap(t, engine.TrapStackOverflow, err)
			}
			assert.Less(t, heldByProcess()-before, guests*perGuest, "memory for the stacks of %d guests", guests)
		})
	}
}

// heldByProcess never shrinks: the Go runtime gives memory back, not addresses.
func heldByProcess() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys)
}
