package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
)

var smallLimits = sandbox.Limits{MemoryPages: 1, LogBytes: 100, ResultBytes: 50, PayloadBytes: 100}

// examples are outcomes of all kinds.
func examples() []sandbox.Outcome {
	now := time.Unix(0, time.Now().UnixNano())
	logs := sandbox.Logs{Truncated: true, Lines: []sandbox.Line{{Time: now, Stream: sandbox.Stderr, Text: "said"}, {Time: now}}}
	return []sandbox.Outcome{
		{Result: []byte(`{"a":1}`), Logs: logs, Timings: sandbox.Timings{Run: time.Second}},
		{Result: []byte(`{"error":1}`), Status: sandbox.ApplicationError},
		{Err: &engine.TrapError{Kind: engine.TrapUnreachable, Detail: "at 1"}, Status: sandbox.DeveloperError},
		{Err: &abi.ProtocolError{Contract: abi.Wow, Err: abi.ErrNotDictionary}, Status: sandbox.DeveloperError},
		{Err: context.DeadlineExceeded, Status: sandbox.DeveloperError},
		{Err: errors.New("ours"), Status: sandbox.WhiskError},
		{},
	}
}

func TestOutcomesSurviveTheWay(t *testing.T) {
	t.Parallel()
	for _, want := range examples() {
		payload, err := encodeOutcome(want)
		require.NoError(t, err)
		got, err := decodeOutcome(payload, smallLimits)
		require.NoError(t, err, want)
		if want.Err != nil {
			assert.Equal(t, want.Err.Error(), got.Err.Error())
		}
		want.Err, got.Err = nil, nil
		assert.Equal(t, want, got)
	}
}

func TestActivationsSurviveTheWay(t *testing.T) {
	t.Parallel()
	for _, want := range []sandbox.Activation{
		{Input: []byte(`{"a":1}`), Context: abi.Context{{Name: "k", Value: "v"}, {}}, Deadline: time.Unix(5, 7)},
		{Input: []byte{}},
	} {
		got, err := decodeActivation(encodeActivation(want))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestOutcomesPastTheLimits(t *testing.T) {
	t.Parallel()
	for want, out := range map[string]sandbox.Outcome{
		"logs of 10001 lines":  {Logs: sandbox.Logs{Lines: make([]sandbox.Line, smallLimits.LogLines()+1)}},
		"logs of 101 bytes":    {Logs: sandbox.Logs{Lines: []sandbox.Line{{Text: strings.Repeat("x", 100)}}}},
		"a result of 52 bytes": {Result: []byte(`"` + strings.Repeat("x", 50) + `"`)},
		"at most 262144 may":   {Err: &engine.LimitError{What: strings.Repeat("x", 400_000)}},
	} {
		payload, err := encodeOutcome(out)
		require.NoError(t, err)
		_, err = decodeOutcome(payload, smallLimits)
		assert.ErrorContains(t, err, want)
	}
}

// FuzzFrames reads what a hostile worker may send, as its supervisor does.
func FuzzFrames(f *testing.F) {
	for _, out := range examples() {
		payload, err := encodeOutcome(out)
		require.NoError(f, err)
		f.Add(frame{kind: kindOutcome, id: 1, payload: payload}.encode())
	}
	f.Add([]byte{byte(kindOutcome), 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, wire []byte) {
		for r := bytes.NewReader(wire); ; {
			got, err := readFrame(r, 1<<20)
			if err != nil {
				_, broken := errors.AsType[*violation](err)
				if !broken && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("readFrame: %v", err)
				}
				return
			}
			out, err := decodeOutcome(got.payload, smallLimits)
			if err == nil {
				checkOutcome(t, out)
			}
		}
	})
}

// checkOutcome checks what everybody relies on who is given an outcome.
func checkOutcome(t *testing.T, out sandbox.Outcome) {
	t.Helper()
	size := 0
	for _, line := range out.Logs.Lines {
		size += len(line.Text) + 1
	}
	if size > smallLimits.LogBytes || len(out.Result) > smallLimits.ResultBytes || out.Timings.Run < 0 {
		t.Errorf("decodeOutcome = %+v, past the limits", out)
	}
	if out.Err != nil && out.Result != nil || (out.Err != nil) != (out.Status >= sandbox.DeveloperError) {
		t.Errorf("decodeOutcome = %+v, which cannot be", out)
	}
}

// FuzzMessages reads what comes to a worker: no guest wrote that, but parts of it
// are a caller's.
func FuzzMessages(f *testing.F) {
	text, err := assignment{Env: []string{"K=V"}}.encode([]byte("binary"))
	require.NoError(f, err)
	f.Add(text)
	f.Add(encodeActivation(sandbox.Activation{Input: []byte("{}"), Context: abi.Context{{Name: "k", Value: "v"}}}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if a, err := decodeActivation(payload); err == nil {
			again, err := decodeActivation(encodeActivation(a))
			if err != nil || !bytes.Equal(again.Input, a.Input) || len(again.Context) != len(a.Context) {
				t.Errorf("decodeActivation(%q) = %+v, again %+v, %v", payload, a, again, err)
			}
		}
		_, _, _ = decodeAssignment(payload)
	})
}
