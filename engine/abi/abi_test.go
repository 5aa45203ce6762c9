package abi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// scripted is a guest whose exports are Go functions over a memory.
type scripted struct {
	memory  engine.Memory
	exports map[string]func(args []uint64) ([]uint64, error)
}

func (s *scripted) Call(_ context.Context, export string, args ...uint64) ([]uint64, error) {
	fn, ok := s.exports[export]
	if !ok {
		return nil, engine.ErrNoExport
	}
	return fn(args)
}

func (s *scripted) Memory() engine.Memory       { return s.memory }
func (s *scripted) Close(context.Context) error { return nil }

// written is what a scripted guest wrote.
type written struct {
	line, fd3 string
	err       error
}

func (w written) TakeLastLine() ([]byte, error) { return []byte(w.line), w.err }
func (w written) FD3() ([]byte, error)          { return []byte(w.fd3), w.err }

func gives(values ...uint64) func([]uint64) ([]uint64, error) {
	return func([]uint64) ([]uint64, error) { return values, nil }
}

func fails(err error) func([]uint64) ([]uint64, error) {
	return func([]uint64) ([]uint64, error) { return nil, err }
}

// exportsOf lists exports that satisfy a contract.
func exportsOf(name abi.Name) []engine.Export {
	i32, none := []engine.ValueType{engine.I32}, []engine.ValueType(nil)
	fn := func(name string, params, results []engine.ValueType) engine.Export {
		return engine.Export{Name: name, Type: &engine.FuncType{Params: params, Results: results}}
	}
	memory, start := engine.Export{Name: "memory"}, fn("_start", none, none)
	switch name {
	case abi.Reactor:
		return []engine.Export{
			memory, fn("ow_alloc", i32, i32),
			fn("ow_run", []engine.ValueType{engine.I32, engine.I32}, []engine.ValueType{engine.I64}),
		}
	case abi.Wow:
		return []engine.Export{
			memory, start, fn("wasm_memory_buffer_allocate_space", i32, none),
			fn("get_wasm_memory_buffer_pointer", none, i32), fn("get_wasm_memory_buffer_len", none, i32),
		}
	case abi.SetInput:
		return []engine.Export{
			memory, start, fn("set_input", i32, i32), fn("get_result", none, i32), fn("get_result_len", none, i32),
		}
	default:
		return []engine.Export{memory, start}
	}
}

func contract(t testing.TB, name abi.Name) abi.Contract {
	t.Helper()
	c, err := abi.Detect(exportsOf(name), name)
	require.NoError(t, err)
	return c
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, name := range []abi.Name{abi.Reactor, abi.Command, abi.Wow, abi.SetInput} {
		c, err := abi.Detect(exportsOf(name), "")
		if assert.NoError(t, err, name) {
			assert.Equal(t, name, c.Name(), "by its exports")
		}
	}
	c, err := abi.Detect(exportsOf(abi.Command), abi.ActionLoop)
	require.NoError(t, err)
	assert.Equal(t, abi.ActionLoop, c.Name(), "by its hint")

	goCommand := append(exportsOf(abi.Reactor), exportsOf(abi.Command)[1])
	c, err = abi.Detect(goCommand, "")
	require.NoError(t, err)
	assert.Equal(t, abi.Command, c.Name(), "a command with the functions of its SDK")
}

func TestDetectSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	i64 := &engine.FuncType{Params: []engine.ValueType{engine.I64}}
	for _, tc := range []struct {
		name    string
		exports []engine.Export
		hint    abi.Name
		want    string
	}{
		{"nothing", nil, "", "exports no entry point"},
		{"half a reactor", exportsOf(abi.Reactor)[:2], "", "the reactor contract needs the exports ow_run(i32, i32)->i64"},
		{"reactor without memory", exportsOf(abi.Reactor)[1:], "", "memory"},
		{"hint without exports", exportsOf(abi.Command), abi.Reactor, "ow_alloc(i32)->i32"},
		{"unknown hint", exportsOf(abi.Command), "component", `abi "component" is not one of`},
		{"_start with parameters", []engine.Export{{Name: "_start", Type: i64}}, "", "exports no entry point"},
		{"_start is a memory", []engine.Export{{Name: "_start"}}, "", "exports no entry point"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := abi.Detect(tc.exports, tc.hint)
			assert.ErrorContains(t, err, tc.want)
			_, invalid := errors.AsType[*engine.InvalidModuleError](err)
			assert.True(t, invalid, "the module is at fault")
		})
	}
}

func TestFeed(t *testing.T) {
	t.Parallel()
	value := json.RawMessage("{\"a\":\n 1}")
	in := abi.Input{Value: value, Context: abi.Context{{"action_name", `/guest/"q"`}, {"deadline", "17"}}}
	assert.Equal(t, abi.Feed{Args: []string{"action", string(value)}, Stdin: value}, contract(t, abi.Command).Feed(in))
	assert.Equal(t, "{\"value\":{\"a\":1},\"action_name\":\"/guest/\\\"q\\\"\",\"deadline\":\"17\"}\n",
		string(contract(t, abi.ActionLoop).Feed(in).Stdin))
	assert.Equal(t, []string{strconv.Itoa(len(value))}, contract(t, abi.Wow).Feed(in).Args)

	long := abi.Input{Value: json.RawMessage(`["` + strings.Repeat("x", 128<<10) + `"]`)}
	assert.Equal(t, []string{"action"}, contract(t, abi.Command).Feed(long).Args, "too long for an argument")
}

func TestContextEnv(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"__OW_ACTIVATION_ID=1=2"}, abi.Context{{"activation_id", "1=2"}}.Env())
}

// echo is a reactor, wow and set_input guest that answers with its input, or
// with answer if that is not empty.
func echo(answer string) *scripted {
	s := &scripted{memory: make(engine.Memory, engine.PageSize)}
	const at = 64
	n := uint64(0)
	alloc := func(args []uint64) ([]uint64, error) { n = args[0]; return []uint64{at}, nil }
	run := func([]uint64) ([]uint64, error) {
		if answer != "" {
			n = uint64(copy(s.memory[at:], answer))
		}
		return []uint64{at<<32 | n}, nil
	}
	length := func([]uint64) ([]uint64, error) { return []uint64{n}, nil }
	s.exports = map[string]func([]uint64) ([]uint64, error){
		"ow_alloc": alloc, "ow_run": run,
		"wasm_memory_buffer_allocate_space": alloc, "get_wasm_memory_buffer_pointer": gives(at), "get_wasm_memory_buffer_len": length,
		"set_input": alloc, "get_result": gives(at), "get_result_len": length,
		"_start": run,
	}
	return s
}

func TestInvokeThroughMemory(t *testing.T) {
	t.Parallel()
	input := abi.Input{Value: json.RawMessage(`{"Ok":{"n":1}}`), MaxResult: 100}
	for _, tc := range []struct {
		contract     abi.Name
		answer, want string
	}{
		{abi.Reactor, "", `{"Ok":{"n":1}}`},
		{abi.SetInput, "", `{"Ok":{"n":1}}`},
		{abi.Wow, "", `{"n":1}`},
		{abi.Wow, `{"Err":{"error":"no"}}`, `{"error":"no"}`},
		{abi.Wow, `{"Err":{"message":"no"}}`, `{"error":{"message":"no"}}`},
		{abi.Reactor, " [1,2]\n", `[1,2]`},
	} {
		got, err := contract(t, tc.contract).Invoke(t.Context(), echo(tc.answer), input, written{})
		assert.NoError(t, err, tc)
		assert.Equal(t, tc.want, string(got), tc)
	}
}

func TestInvokeRefusesWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	input := abi.Input{Value: json.RawMessage(`{}`), MaxResult: 20}
	for _, tc := range []struct {
		contract abi.Name
		answer   string
		want     string
	}{
		{abi.Reactor, `"text"`, "did not return a dictionary or array"},
		{abi.Reactor, `17`, "did not return a dictionary or array"},
		{abi.Reactor, `{"a":`, "did not return a dictionary or array"},
		{abi.Reactor, ` `, "did not return a dictionary or array"},
		{abi.SetInput, `null`, "did not return a dictionary or array"},
		{abi.Wow, `{}`, "neither Ok nor Err"},
		{abi.Wow, `{"Ok":1}`, "did not return a dictionary or array"},
		{abi.Wow, `nonsense`, "result: invalid character"},
		{abi.Reactor, `{"a":"0123456789abcdef"}`, "result of 24 bytes exceeds the limit of 20 bytes"},
	} {
		_, err := contract(t, tc.contract).Invoke(t.Context(), echo(tc.answer), input, written{})
		assert.ErrorContains(t, err, tc.want, tc)
	}
}

func TestInvokeChecksPointers(t *testing.T) {
	t.Parallel()
	input := abi.Input{Value: json.RawMessage(`{"a":1}`), MaxResult: 1 << 20}
	const size = engine.PageSize
	for _, at := range []uint64{size - 6, size, 1 << 31, 1<<32 - 1} {
		guest := echo("")
		guest.exports["ow_alloc"] = gives(at)
		_, err := contract(t, abi.Reactor).Invoke(t.Context(), guest, input, written{})
		assert.ErrorContains(t, err, "room for the input", "ow_alloc gives %#x", at)

		guest = echo("")
		guest.exports["ow_run"] = gives(at<<32 | 7)
		_, err = contract(t, abi.Reactor).Invoke(t.Context(), guest, input, written{})
		assert.ErrorContains(t, err, "result: 7 bytes at", "ow_run gives %#x", at)
	}
}

func TestInvokeCommand(t *testing.T) {
	t.Parallel()
	exit := func(code uint32) error { return &engine.ExitError{Code: code} }
	trap := &engine.TrapError{Kind: engine.TrapUnreachable}
	for _, tc := range []struct {
		name    string
		ends    error
		line    string
		want    string
		wantErr string
	}{
		{"returns", nil, `{"a":1}`, `{"a":1}`, ""},
		{"exits with 0", exit(0), `{"a":1}`, `{"a":1}`, ""},
		{"exits with an answer", exit(3), `{"a":1}`, "", "exit code 3"},
		{"exits with an error", exit(3), `{"error":"why"}`, `{"error":"why"}`, ""},
		{"exits with text", exit(1), `panic`, "", "exit code 1"},
		{"traps with an answer", trap, `{"a":1}`, "", "trap: unreachable"},
		{"says nothing", nil, ``, "", "did not return a dictionary or array"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			guest := &scripted{exports: map[string]func([]uint64) ([]uint64, error){"_start": fails(tc.ends)}}
			got, err := contract(t, abi.Command).Invoke(t.Context(), guest, abi.Input{}, written{line: tc.line})
			assert.Equal(t, tc.want, string(got))
			if tc.wantErr == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tc.wantErr)
			}
		})
	}
}

func TestInvokeActionLoop(t *testing.T) {
	t.Parallel()
	guest := &scripted{exports: map[string]func([]uint64) ([]uint64, error){"_start": gives()}}
	got, err := contract(t, abi.ActionLoop).Invoke(t.Context(), guest, abi.Input{}, written{fd3: "{\"ok\":true}\n{\"a\":1}\n"})
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, string(got), "the acknowledgement is not the answer")
}

func TestInitializeIsOptional(t *testing.T) {
	t.Parallel()
	reactor := contract(t, abi.Reactor)
	assert.NoError(t, reactor.Initialize(t.Context(), &scripted{}))
	trap := &engine.TrapError{Kind: engine.TrapUnreachable}
	guest := &scripted{exports: map[string]func([]uint64) ([]uint64, error){"_initialize": fails(trap)}}
	assert.ErrorIs(t, reactor.Initialize(t.Context(), guest), error(trap))
}

func TestHasError(t *testing.T) {
	t.Parallel()
	for result, want := range map[string]bool{
		`{"error":"x"}`:       true,
		`{"error":null}`:      true,
		`{"\u0065rror":1}`:    true,
		`{"a":{"error":"x"}}`: false,
		`["error"]`:           false,
		`{"a":"error"}`:       false,
		`{}`:                  false,
	} {
		assert.Equal(t, want, abi.HasError([]byte(result)), result)
	}
}

// FuzzInvoke lets every export of a guest answer with arbitrary numbers over an
// arbitrary memory: the host must come out with an answer or an error.
func FuzzInvoke(f *testing.F) {
	f.Add(uint8(0), []byte(`{"Ok":{}}`), []byte{0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0}, []byte(`{}`))
	f.Add(uint8(1), []byte("abc"), bytes.Repeat([]byte{0xff}, 64), []byte(`[1]`))
	names := []abi.Name{abi.Reactor, abi.Wow, abi.SetInput, abi.Command, abi.ActionLoop}
	f.Fuzz(func(t *testing.T, which uint8, memory, numbers, value []byte) {
		next := func(args []uint64) ([]uint64, error) {
			if len(numbers) < 8 {
				return nil, fmt.Errorf("no more numbers")
			}
			v := binary.LittleEndian.Uint64(numbers)
			numbers = numbers[8:]
			return []uint64{v}, nil
		}
		guest := &scripted{memory: memory, exports: map[string]func([]uint64) ([]uint64, error){}}
		name := names[int(which)%len(names)]
		for _, e := range exportsOf(name) {
			guest.exports[e.Name] = next
		}
		in := abi.Input{Value: value, MaxResult: 1 << 10}
		c := contract(t, name)
		c.Feed(in)
		got, err := c.Invoke(t.Context(), guest, in, written{line: string(memory), fd3: string(memory)})
		if err == nil && !json.Valid(got) {
			t.Errorf("Invoke = %q, which is no JSON", got)
		}
	})
}
