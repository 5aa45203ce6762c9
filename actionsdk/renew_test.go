//go:build !wasip1

package actionsdk_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// Sandboxes of one program start from one snapshot: whatever is random must not
// repeat itself all the same, nor an environment last.
func TestActivationsFromOneSnapshotDiffer(t *testing.T) {
	t.Parallel()
	for _, mode := range guesttest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			module := newModule(t, "random", mode)
			activationsDiffer(t, newTemplate(t, module, sandbox.Policy{Env: []string{"KEY=value"}}))
		})
	}
}

func activationsDiffer(t *testing.T, tpl *sandbox.Template) {
	seen := map[string]string{}
	for _, id := range []string{"1", "2", "3", "4"} {
		out := tpl.Run(t.Context(), sandbox.Activation{
			Input:   json.RawMessage(`{}`),
			Context: abi.Context{{Name: "activation_id", Value: id}},
		})
		require.NoError(t, out.Err)
		var answer struct {
			Numbers map[string]string
			Env     []string
			Found   bool
		}
		require.NoError(t, json.Unmarshal(out.Result, &answer))
		assert.ElementsMatch(t, []string{"KEY=value", "__OW_ACTIVATION_ID=" + id}, answer.Env)
		assert.False(t, answer.Found, "__OW_API_KEY, which is not set")
		require.Len(t, answer.Numbers, 5)
		for generator, number := range answer.Numbers {
			assert.NotEqual(t, seen[generator], number, "%s in activation %s", generator, id)
			seen[generator] = number
		}
	}
}

// An author's type may panic in a rehearsal: there is a snapshot all the same, as
// the time of the start shows, which is one.
func TestTypesThatPanicWhenEmpty(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, newModule(t, "touchy", guest.Reactor), sandbox.Policy{})
	first := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{"Name":"a"}`)})
	require.NoError(t, first.Err)
	second := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{"Name":"b"}`)})
	require.NoError(t, second.Err)
	assert.Equal(t, string(first.Result), string(second.Result))
}

func TestPlainReactorsDoNotRepeatThemselves(t *testing.T) {
	t.Parallel()
	tpl := newTemplate(t, newModule(t, "plain", guest.Reactor), sandbox.Policy{})
	seen := map[string]bool{}
	for n := range 4 {
		out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`)})
		require.NoError(t, out.Err)
		var answer struct{ First, Then map[string]string }
		require.NoError(t, json.Unmarshal(out.Result, &answer))
		for _, numbers := range []map[string]string{answer.First, answer.Then} {
			require.Len(t, numbers, 5)
			for generator, number := range numbers {
				assert.False(t, seen[generator+number], "%s gave %s again in activation %d", generator, number, n)
				seen[generator+number] = true
			}
		}
	}
}

// The start that activations share lies in the past of each of them, and further
// back for each, by both clocks.
func TestClocksGoOnFromOneStart(t *testing.T) {
	t.Parallel()
	for _, mode := range guesttest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			module := newModule(t, "clock", mode)
			clocksGoOn(t, newTemplate(t, module, sandbox.Policy{}))
		})
	}
}

func clocksGoOn(t *testing.T, tpl *sandbox.Template) {
	type answer struct {
		Started, Now int64
		Since        time.Duration
	}
	began := time.Now()
	last := answer{Now: began.UnixNano()}
	for n := range 4 {
		asked := time.Now().UnixNano()
		out := tpl.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(`{}`)})
		require.NoError(t, out.Err)
		var got answer
		require.NoError(t, json.Unmarshal(out.Result, &got))
		if n > 0 {
			assert.Equal(t, last.Started, got.Started, "start of activation %d", n)
		}
		assert.GreaterOrEqual(t, got.Started, began.UnixNano(), "start of activation %d", n)
		assert.GreaterOrEqual(t, got.Now, asked, "wall clock in activation %d", n)
		assert.LessOrEqual(t, got.Now, time.Now().UnixNano(), "wall clock in activation %d", n)
		assert.Greater(t, got.Since, last.Since, "monotonic clock in activation %d", n)
		assert.LessOrEqual(t, got.Since, time.Since(began), "monotonic clock in activation %d", n)
		last = got
	}
}
