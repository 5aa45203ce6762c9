package wazero_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/engine/sandbox"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

var update = flag.Bool("update", false, "write forecast.bin anew")

const forecastFile = "forecast.bin"

// A guest of this version of Go that nobody has seen finds what it calls there
// already.
func TestForecast(t *testing.T) {
	if testing.Short() {
		t.Skip("interprets Go guests")
	}
	forgetful := newObserved(t)
	require.NoError(t, forgetful.Forget())
	if *update {
		writeForecast(t, forgetful)
		return
	}
	file, err := os.ReadFile(forecastFile)
	require.NoError(t, err)
	if version, _, _ := strings.Cut(string(file), "\n"); version != runtime.Version() {
		t.Skipf("%s is of %s, this is %s: go test ./engines/wazero -run Forecast -update", forecastFile, version, runtime.Version())
	}
	unseen := guesttest.Build(t, "wasmwhisk/engines/testdata/sleep", guest.Reactor)
	unexpected := func(o observed) int {
		before := len(o.called(t))
		o.run(t, unseen, `{"milliseconds":0}`)
		return len(o.called(t)) - before
	}
	all := unexpected(forgetful)
	require.Greater(t, all, 400)
	assert.Less(t, unexpected(newObserved(t)), all/4, "functions that a guest called unexpectedly, of %d", all)
}

// observed is an interpreter that tells what it knows.
type observed struct{ wazeroengine.InParts }

func newObserved(t *testing.T) observed {
	t.Helper()
	rt, err := wazeroengine.NewInParts(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, rt.Close(context.WithoutCancel(t.Context()))) })
	return observed{rt}
}

// uncompiled is a module as it is until it has been compiled.
type uncompiled struct{ engine.Snapshotter }

func (uncompiled) Final(context.Context) (engine.Module, error) { return nil, errors.ErrUnsupported }

// run has a guest answer as it does first of all, with what OpenWhisk tells it.
func (o observed) run(t *testing.T, binary []byte, input string) {
	t.Helper()
	module, err := o.Compile(t.Context(), binary)
	require.NoError(t, err)
	program := sandbox.NewProgram(uncompiled{module.(engine.Snapshotter)})
	defer func() { assert.NoError(t, program.Close(context.WithoutCancel(t.Context()))) }()
	template, err := sandbox.New(program, sandbox.HostFuncs(), sandbox.Policy{})
	require.NoError(t, err)
	out := template.Run(t.Context(), sandbox.Activation{
		Input: json.RawMessage(input), Context: usualContext(), Deadline: time.Now().Add(time.Minute),
	})
	require.NoError(t, out.Err)
}

func usualContext() (c abi.Context) {
	for _, field := range [][2]string{
		{"activation_id", "0123456789abcdef0123456789abcdef"},
		{"transaction_id", "0123456789abcdef0123456789abcdef"},
		{"namespace", "guest"},
		{"action_name", "/guest/action"},
		{"action_version", "0.0.1"},
		{"api_host", "http://localhost:3233"},
		{"deadline", "1700000000000"},
	} {
		c = append(c, abi.Field{Name: field[0], Value: field[1]})
	}
	return c
}

func (o observed) called(t *testing.T) []rewrite.Shape {
	t.Helper()
	shapes, err := o.Called()
	require.NoError(t, err)
	return shapes
}

// writeForecast writes what more than one of the examples call for usual inputs: to
// expect what a single guest calls costs others more than it saves them.
func writeForecast(t *testing.T, o observed) {
	t.Helper()
	var inOrder []rewrite.Shape
	callers := map[rewrite.Shape]int{}
	for _, example := range [][2]string{
		{"add", `{"param1":3,"param2":4}`},
		{"hello", `{"name":"Mike"}`},
		{"hash", `{"iterations":1,"input":"abc"}`},
		{"prime", `{"upperBound":10}`},
	} {
		require.NoError(t, o.Forget())
		o.run(t, guesttest.Build(t, "wasmwhisk/examples/"+example[0], guest.Reactor), example[1])
		for _, s := range o.called(t) {
			if callers[s]++; callers[s] == 2 {
				inOrder = append(inOrder, s)
			}
		}
	}
	file := []byte(runtime.Version() + "\n")
	for _, s := range inOrder {
		file = binary.LittleEndian.AppendUint64(file, uint64(s))
	}
	require.NoError(t, os.WriteFile(forecastFile, file, 0o600))
}

// What is expected comes in the order in which it was called, and what was called
// long ago is forgotten.
func TestForecastOrder(t *testing.T) {
	t.Parallel()
	parts := split(t, `(module (func nop) (func nop nop) (func nop nop nop) (func (drop (i32.const 1))))`)
	f := wazeroengine.NewForecast(parts.Shape(2), parts.Shape(0), parts.Shape(2), parts.Shape(3))
	require.Equal(t, []uint32{2, 0, 3}, f.Of(parts))

	shapes := []rewrite.Shape{parts.Shape(1), parts.Shape(2)}
	for len(shapes) <= wazeroengine.ForecastShapes {
		shapes = append(shapes, rewrite.Shape(len(shapes)))
	}
	f = wazeroengine.NewForecast(shapes...)
	require.Equal(t, []uint32{2}, f.Of(parts))
}

// Whatever others have called, no more than so much code is made ahead.
func TestForecastIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads megabytes of code, which takes the race detector long")
	}
	t.Parallel()
	const functions, size = 40, 60 << 10
	parts := split(t, "(module "+strings.Repeat("(func "+strings.Repeat("nop ", size)+")", functions)+")")
	likely := wazeroengine.NewForecast(parts.Shape(0)).Of(parts)
	require.Len(t, likely, wazeroengine.LikelyBytes/(size+2))
}

func split(t *testing.T, source string) *rewrite.Parts {
	t.Helper()
	parts, err := rewrite.Split(wat.Must(source), rewrite.Options{})
	require.NoError(t, err)
	return parts
}
