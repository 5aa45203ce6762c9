package wazero

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// reading is a host whose guests read numbers, and are held when there is none.
type reading struct {
	numbers []uint32
	told    []uint32 // by fd_write
}

var errTold = errors.New("the guest wants to hear no more")

func (h *reading) funcs() []engine.HostFunc {
	four := engine.FuncType{Params: []engine.ValueType{engine.I32, engine.I32, engine.I32, engine.I32}, Results: []engine.ValueType{engine.I32}}
	return []engine.HostFunc{
		{Module: rewrite.ReadModule, Name: rewrite.ReadName, Type: four, Call: h.read},
		{Module: rewrite.ReadModule, Name: "fd_write", Type: four, Call: h.write},
		{Module: rewrite.ReadModule, Name: "proc_exit", Type: engine.FuncType{Params: four.Params[:1]}, Call: func(_ context.Context, _ engine.Memory, stack []uint64) error {
			return &engine.ExitError{Code: uint32(stack[0])}
		}},
		{Module: rewrite.ReadModule, Name: "hold", Call: func(context.Context, engine.Memory, []uint64) error { return engine.ErrHold }},
	}
}

func (h *reading) read(_ context.Context, mem engine.Memory, stack []uint64) error {
	if len(h.numbers) == 0 {
		return engine.ErrHold
	}
	n := h.numbers[0]
	h.numbers = h.numbers[1:]
	binary.LittleEndian.PutUint32(mem[uint32(stack[3]):], n)
	stack[0] = 0
	return nil
}

func (h *reading) write(_ context.Context, _ engine.Memory, stack []uint64) error {
	h.told = append(h.told, uint32(stack[0]))
	if stack[0] == 99 {
		return errTold
	}
	stack[0] = 0
	return nil
}

// calculator is held within calls of its own: three deep, with numbers on its
// stack, in a global and in memory that it has grown by then. It tells the product
// of all of them and of what it reads.
const calculator = `(module
  (type $read (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (type $read)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "hold" (func $hold))
  (memory (export "memory") 1) (global $g (mut i32) (i32.const 1))
  (func $tell (param i32) (drop (call $fd_write (local.get 0) (i32.const 0) (i32.const 0) (i32.const 0))))
  (func $next (result i32)
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)) (then unreachable))
    (i32.load (i32.const 16)))
  (func $deep (param $n i32) (result i32) (local $kept i32)
    (local.set $kept (i32.add (local.get $n) (i32.const 1)))
    (if (result i32) (i32.eqz (local.get $n))
      (then (call $next))
      (else (i32.mul (local.get $kept) (call $deep (i32.sub (local.get $n) (i32.const 1)))))))
  (func (export "_start") (local $product i32)
    BEFORE
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 100000) (i32.const 5)) (global.set $g (i32.const 7))
    (local.set $product (call $deep (i32.const 2)))
    (local.set $product (i32.mul (local.get $product) (i32.mul (i32.load (i32.const 100000)) (global.get $g))))
    (call $tell (local.get $product)) (call $tell (memory.size))
    (i32.store (i32.const 100000) (i32.const 55)) (global.set $g (i32.const 77))
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.const 131072) (i32.const 555))
    AFTER))`

func calculating(before, after string) []byte {
	return wat.Must(strings.NewReplacer("BEFORE", before, "AFTER", after).Replace(calculator))
}

// instanceOf gives an instance of a binary for a host.
func instanceOf(t *testing.T, h *reading, code []byte) (*module, *instance) {
	t.Helper()
	c, err := NewCompiler(t.Context(), engine.Config{HostFuncs: h.funcs(), CheckResets: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	m, err := c.Compile(t.Context(), code)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close(context.Background())) })
	return m.(*module), newInstance(t, m)
}

func newInstance(t *testing.T, m engine.Module) *instance {
	t.Helper()
	i, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, i.Close(context.Background())) })
	return i.(*instance)
}

// heldInstance is one that starts where it is held.
func heldInstance(t *testing.T, h *reading, code []byte) (*module, *instance, engine.Snapshot) {
	t.Helper()
	m, i := instanceOf(t, h, code)
	require.NoError(t, i.Hold(t.Context(), "_start"))
	s, err := m.Capture(i)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	require.NoError(t, s.(engine.Adopter).Adopt(i))
	return m, i, s
}

// TestHeldInstancesGoOnFromWhereTheyAreHeld relies on what wazero does with a
// snapshot that is taken after each return to the last one: that it can be returned
// to, and holds the stack as it was.
func TestHeldInstancesGoOnFromWhereTheyAreHeld(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{"returns": "", "exits": "(call $proc_exit (i32.const 3))"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := new(reading)
			_, i, _ := heldInstance(t, h, calculating("", after))
			_, err := i.Call(t.Context(), "another")
			require.ErrorIs(t, err, engine.ErrNoExport)
			for n := range uint32(maxReturns) {
				h.numbers, h.told = []uint32{n + 1}, nil
				_, err := i.Call(t.Context(), "_start")
				if after == "" {
					require.NoError(t, err)
				} else {
					require.Equal(t, &engine.ExitError{Code: 3}, err)
				}
				require.Equal(t, []uint32{2 * 3 * 5 * 7 * (n + 1), 2}, h.told)
				require.NoError(t, i.Reset())
			}
			h.numbers = []uint32{1}
			_, _ = i.Call(t.Context(), "_start")
			assert.ErrorContains(t, i.Reset(), "as often as it can be")
		})
	}
}

// patient waits without end, unless that is what is to end.
func patient(t *testing.T, wanted string) context.Context {
	t.Helper()
	if !strings.Contains(wanted, "deadline exceeded") {
		return t.Context()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestHeldInstancesThatDoNotEndAreSpent(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]string{
		"unreachable":                                "trap: unreachable",
		"(loop $l (br $l))":                          "context deadline exceeded",
		"(call $tell (i32.const 99))":                errTold.Error(),
		"(drop (call $deep (i32.const 0x7fffffff)))": "trap: call stack exhausted",
		"(drop (call $next))":                        engine.ErrHold.Error(),
	} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			h := &reading{}
			_, i, _ := heldInstance(t, h, calculating("", after))
			h.numbers = []uint32{1}
			_, err := i.Call(patient(t, want), "_start")
			require.EqualError(t, err, want)
			assert.Error(t, i.Reset())
		})
	}
}

func TestWhatCannotBeHeld(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, before string
		err          string
		notHeld      bool
	}{
		{name: "returns", before: "return", err: "before it reads", notHeld: true},
		{name: "exits", before: "(call $proc_exit (i32.const 4))", err: "exit code 4"},
		{name: "traps", before: "unreachable", err: "trap: unreachable"},
		{name: "spins", before: "(loop $l (br $l))", err: "deadline exceeded"},
		{name: "nests deeply", before: "(drop (call $deep (i32.const 3000)))", err: "bytes of stack where it reads", notHeld: true},
		{name: "asks elsewhere", before: "(call $hold)", err: engine.ErrHold.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, i := instanceOf(t, new(reading), calculating(tc.before, ""))
			err := i.Hold(patient(t, tc.err), "_start")
			assert.ErrorContains(t, err, tc.err)
			assert.Equal(t, tc.notHeld, errors.Is(err, engine.ErrNotHeld))
		})
	}
}

func TestModulesThatCannotBeHeld(t *testing.T) {
	t.Parallel()
	const reads = `(import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))`
	for name, source := range map[string]string{
		"no input":      `(func (export "_start"))`,
		"writes tables": reads + `(table 1 funcref) (func (export "_start") (table.set (i32.const 0) (ref.null func)))`,
	} {
		_, i := instanceOf(t, new(reading), wat.Must(source))
		assert.ErrorIs(t, i.Hold(t.Context(), "_start"), engine.ErrNotHeld, name)
	}
	h := new(reading)
	_, i := instanceOf(t, h, calculating("", ""))
	assert.ErrorIs(t, i.Hold(t.Context(), "start"), engine.ErrNotHeld, "another export")
	require.NoError(t, i.Hold(t.Context(), "_start"))
	assert.ErrorIs(t, i.Hold(t.Context(), "_start"), engine.ErrNotHeld, "one that is held")

	r, err := NewInterpreter(t.Context(), engine.Config{HostFuncs: h.funcs()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.Close(context.Background())) }()
	m, err := r.Compile(t.Context(), calculating("", ""))
	require.NoError(t, err)
	interpreted := newInstance(t, m)
	assert.ErrorIs(t, interpreted.Hold(t.Context(), "_start"), engine.ErrNotHeld)
	h.numbers = []uint32{1}
	_, err = interpreted.Call(t.Context(), "_start")
	assert.NoError(t, err, "it can still be called")
}

func TestSnapshotsAdoptWhatIsTheSame(t *testing.T) {
	t.Parallel()
	h := new(reading)
	m, _, s := heldInstance(t, h, calculating("", ""))
	for _, tc := range []struct {
		name   string
		change func(*instance)
		adopts bool
	}{
		{"the same", func(*instance) {}, true},
		{"another byte", func(i *instance) { i.Memory()[3]++ }, false},
		{"another byte further on", func(i *instance) { i.Memory()[100_001]++ }, false},
		{"another byte at the end", func(i *instance) { i.memory.bytes()[i.memory.size-1]++ }, false},
		{"another global", func(i *instance) { i.globals[0].Set(2) }, false},
		{"a larger memory", func(i *instance) { i.mod.Memory().Grow(1) }, false},
	} {
		i := newInstance(t, m)
		require.NoError(t, i.Hold(t.Context(), "_start"))
		tc.change(i)
		err := s.(engine.Adopter).Adopt(i)
		assert.Equal(t, tc.adopts, err == nil, "%s: Adopt = %v", tc.name, err)
		if tc.adopts {
			h.numbers, h.told = []uint32{1}, nil
			_, err := i.Call(t.Context(), "_start")
			require.NoError(t, err)
			assert.Equal(t, []uint32{2 * 3 * 5 * 7, 2}, h.told)
		}
	}
}
