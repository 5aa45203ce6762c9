package actionsdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTyped(t *testing.T) {
	t.Parallel()
	type pair struct{ A, B int }
	add := typed(func(_ Context, in pair) (map[string]int, error) {
		if in.A < 0 {
			return nil, errors.New("a is negative")
		}
		return map[string]int{"sum": in.A + in.B}, nil
	})
	for _, tc := range []struct{ name, event, want string }{
		{"an answer", `{"a":1,"b":2}`, `{"sum":3}`},
		{"a missing field", `{"a":1}`, `{"sum":1}`},
		{"an error", `{"a":-1}`, `{"error":"a is negative"}`},
		{"another type", `{"a":"x"}`, `{"error":"input: json: cannot unmarshal string into Go struct field pair.A of type int"}`},
		{"no JSON", `{`, `{"error":"input: unexpected end of JSON input"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tc.want, string(answer(add, json.RawMessage(tc.event))))
		})
	}
}

func TestTypedAnswerThatHasNoJSON(t *testing.T) {
	t.Parallel()
	handler := typed(func(Context, struct{}) (float64, error) { return math.Inf(1), nil })
	assert.Equal(t, `{"error":"json: unsupported value: +Inf"}`, string(answer(handler, json.RawMessage("{}"))))
}

func TestContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := newContext("__OW_ACTIVATION_ID=id\x00__OW_TRANSACTION_ID=tid\x00__OW_NAMESPACE=guest\x00" +
		"KEY=value\x00__OW_ACTION_NAME=/guest/add\x00__OW_ACTION_VERSION=0.0.1\x00" +
		"__OW_API_HOST=http://localhost\x00__OW_API_KEY=user:key=\x00")
	defer cancel()
	_, has := ctx.Deadline()
	assert.False(t, has, "a deadline without __OW_DEADLINE")
	ctx.Context = nil
	assert.Equal(t, Context{
		ActivationID: "id", TransactionID: "tid", Namespace: "guest",
		ActionName: "/guest/add", ActionVersion: "0.0.1",
		APIHost: "http://localhost", APIKey: "user:key=",
	}, ctx)
}

func TestContextEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Now().Add(time.Minute)
		ctx, cancel := newContext(environ("__OW_DEADLINE=" + timeText(deadline) + "\x00"))
		defer cancel()
		got, _ := ctx.Deadline()
		assert.True(t, got.Equal(deadline), "Deadline() = %v, want %v", got, deadline)
		<-ctx.Done()
		assert.True(t, time.Now().Equal(deadline), "done at %v, want %v", time.Now(), deadline)
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
}

func TestDeadlineThatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "soon", "1e9", "99999999999999999999"} {
		ctx, cancel := withDeadline(text)
		_, has := ctx.Deadline()
		assert.False(t, has, "withDeadline(%q)", text)
		assert.NoError(t, ctx.Err(), "withDeadline(%q)", text)
		cancel()
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("{\n\t\"a\":\r\n\"b\\n\"}"))
	f.Add([]byte("[\"\u2028é\"]"))
	f.Fuzz(func(t *testing.T, result []byte) {
		got := line(result)
		if i := bytes.IndexAny(got, "\r\n"); i != len(got)-1 {
			t.Fatalf("line(%q) = %q, want one line", result, got)
		}
		if !json.Valid(result) {
			return
		}
		var before, after bytes.Buffer
		require.NoError(t, json.Compact(&before, result))
		require.NoError(t, json.Compact(&after, got))
		if before.String() != after.String() {
			t.Errorf("line(%q) = %q, which says something else", result, got)
		}
	})
}
