package executor

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/abi"
	"wasmwhisk/executor/action"
	"wasmwhisk/whisk"
)

func TestDecodeInit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		want       initRequest
	}{
		{"nothing", `{}`, initRequest{}},
		{"a null value", `{"value":null}`, initRequest{}},
		{"no object", `{"value":"x"}`, initRequest{}},
		{
			"as an invoker sends it",
			`{"value":{"name":"add","main":"main","code":"QUJD","binary":true,"env":{"__OW_NAMESPACE":"guest","__OW_ACTION_NAME":"/guest/add"}}}`,
			initRequest{code: "QUJD", namespace: "guest", env: []string{"__OW_NAMESPACE=guest", "__OW_ACTION_NAME=/guest/add"}},
		},
		{
			"environment of all types",
			`{"value":{"env":{"s":"a=b=c","n":null,"i":1.50,"b":true,"a":[1, 2],"o":{"k":"v"},"empty":"","u":"\u2744"}}}`,
			initRequest{env: []string{"s=a=b=c", "n=", "i=1.50", "b=true", "a=[1, 2]", `o={"k":"v"}`, "empty=", "u=❄"}},
		},
		{"escaped slashes", `{"value":{"code":"a\/b"}}`, initRequest{code: "a/b"}},
		{"null for objects", `{"value":{"env":null,"annotations":null}}`, initRequest{}},
		{
			"annotations",
			`{"value":{"annotations":{"abi":"wow","dir":"/tmp/x","net_access":true,"exec":"wasm:0.1","provide-api-key":false}}}`,
			initRequest{wishes: action.Wishes{ABI: abi.Wow, Dir: "/tmp/x", Hosts: []string{"*"}}},
		},
		{"one host", `{"value":{"annotations":{"net":"example.org"}}}`, initRequest{wishes: action.Wishes{Hosts: []string{"example.org"}}}},
		{"hosts", `{"value":{"annotations":{"net":["a.example","*.b.example"]}}}`, initRequest{wishes: action.Wishes{Hosts: []string{"a.example", "*.b.example"}}}},
		{"nothing asked for", `{"value":{"annotations":{"net":false,"net_access":null,"dir":""}}}`, initRequest{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeInit([]byte(c.body))
			require.NoError(t, err, "decodeInit(%s)", c.body)
			assert.Equal(t, c.want, got, "decodeInit(%s)", c.body)
		})
	}
}

func TestDecodeInitRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, maxEnv+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":""`, i)
	}
	for name, body := range map[string]string{
		"no JSON":             `not json`,
		"an array":            `[]`,
		"cut short":           `{"value":{"code":"QUJD"`,
		"environment list":    `{"value":{"env":[1]}}`,
		"annotations list":    `{"value":{"annotations":[1]}}`,
		"name with =":         `{"value":{"env":{"a=b":"c"}}}`,
		"empty name":          `{"value":{"env":{"":"c"}}}`,
		"name with NUL":       `{"value":{"env":{"a\u0000":"c"}}}`,
		"value with NUL":      `{"value":{"env":{"a":"c\u0000d"}}}`,
		"long name":           `{"value":{"env":{"` + strings.Repeat("a", maxName+1) + `":"c"}}}`,
		"too many":            `{"value":{"env":{` + strings.Join(many, ",") + `}}}`,
		"relative dir":        `{"value":{"annotations":{"dir":"tmp"}}}`,
		"dir with ..":         `{"value":{"annotations":{"dir":"/tmp/../etc"}}}`,
		"dir with slash":      `{"value":{"annotations":{"dir":"/tmp/"}}}`,
		"dir of another type": `{"value":{"annotations":{"dir":true}}}`,
		"net of another type": `{"value":{"annotations":{"net":{"a":1}}}}`,
		"net list of numbers": `{"value":{"annotations":{"net":[1]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decodeInit([]byte(body))
			var refused *whisk.Error
			require.ErrorAs(t, err, &refused, "decodeInit(%.100s)", body)
			assert.Equal(t, whisk.BadRequest, refused.Kind)
		})
	}
}

func TestDecodeRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body, input string
		context           abi.Context
		id                string
		deadline          time.Time
	}{
		{name: "nothing", body: `{}`, input: `{}`},
		{name: "null", body: `{"value":null}`, input: `{}`},
		{name: "an array", body: `{"value": [1, 2] }`, input: `[1, 2]`},
		{name: "the value as it was sent", body: `{"value":{"b" : 1.0,"a":"\u2744"}}`, input: `{"b" : 1.0,"a":"\u2744"}`},
		{
			name: "as an invoker sends it", input: `{}`, id: "123", deadline: time.UnixMilli(1690000000000),
			body:    `{"value":{},"namespace":"guest","activation_id":"123","deadline":"1690000000000","api_key":"uuid:key"}`,
			context: abi.Context{{Name: "namespace", Value: "guest"}, {Name: "activation_id", Value: "123"}, {Name: "deadline", Value: "1690000000000"}, {Name: "api_key", Value: "uuid:key"}},
		},
		{
			name: "context of all types", input: `{}`, deadline: time.UnixMilli(5),
			body:    `{"deadline":5,"x":{"a":[1]},"y":null,"z":"a=b"}`,
			context: abi.Context{{Name: "deadline", Value: "5"}, {Name: "x", Value: `{"a":[1]}`}, {Name: "y"}, {Name: "z", Value: "a=b"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeRun([]byte(c.body))
			require.NoError(t, err, "decodeRun(%s)", c.body)
			assert.Equal(t, c.input, string(got.input))
			assert.ElementsMatch(t, c.context, got.context)
			assert.Equal(t, c.id, got.activationID)
			assert.True(t, c.deadline.Equal(got.deadline), "deadline %v, want %v", got.deadline, c.deadline)
		})
	}
}

func TestDecodeRunRefuses(t *testing.T) {
	t.Parallel()
	for body, message := range map[string]string{
		`x`:                       "Error unmarshaling request: the body is not a JSON object.",
		``:                        "Error unmarshaling request: the body is not a JSON object.",
		`[]`:                      "Error unmarshaling request: the body is not a JSON object.",
		`{"value":"text"}`:        whisk.TextInputNotAnObj,
		`{"value":5}`:             whisk.TextInputNotAnObj,
		`{"deadline":"soon"}`:     `the deadline "soon" is not a number of milliseconds`,
		`{"a=b":"c"}`:             `"a=b" cannot be the name of an environment variable`,
		`{"api_key":"\u0000"}`:    `the value of "api_key" holds a zero byte`,
		`{"value":{}} {"value":1`: "Error unmarshaling request: the body is not a JSON object.",
	} {
		_, err := decodeRun([]byte(body))
		var refused *whisk.Error
		if assert.ErrorAs(t, err, &refused, "decodeRun(%s)", body) {
			assert.Equal(t, whisk.Error{Kind: whisk.BadRequest, Message: message}, *refused, "decodeRun(%s)", body)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1690000000000)
	limits := Limits{Timeout: time.Minute, MaxTimeout: time.Hour}
	for _, c := range []struct {
		name     string
		deadline time.Time
		want     time.Duration
	}{
		{"none", time.Time{}, time.Minute},
		{"ahead", now.Add(time.Second), time.Second},
		{"past", now.Add(-time.Second), 0},
		{"too far ahead", now.Add(time.Hour * 24 * 365 * 200), time.Hour},
		{"beyond what a duration holds", time.UnixMilli(1<<62 - 1), time.Hour},
		{"before what a duration holds", time.UnixMilli(-1 << 62), 0},
	} {
		assert.Equal(t, c.want, limits.limit(c.deadline, now), c.name)
	}
	assert.Equal(t, time.Second, Limits{Timeout: time.Minute, MaxTimeout: time.Second}.limit(time.Time{}, now))
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for id, good := range map[string]bool{
		"a": true, "0": true, "wsk0_1_guest_add": true, "3f2504e0-4f89-11d3-9a0c-0305e82c3301": true, "a..b": true,
		strings.Repeat("a", maxID): true, strings.Repeat("a", maxID+1): false,
		"": false, ".": false, "..": false, "-a": false, "_a": false, "a/b": false, "a\\b": false, "a b": false, "é": false, "a\x00": false, "a%2fb": false, "a:b": false,
	} {
		assert.Equal(t, good, checkID(id) == nil, "checkID(%q)", id)
	}
	assert.NoError(t, checkID(newID()))
	assert.NotEqual(t, newID(), newID())
}

func TestTimingsHeader(t *testing.T) {
	t.Parallel()
	var spans timings
	assert.Empty(t, spans.header())
	spans.add(phaseDecode, 21*time.Microsecond)
	spans.add(phaseRun, 1500*time.Millisecond)
	assert.Equal(t, "decode;dur=0.0210, run;dur=1500.0000", spans.header())
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	got := errorBody(`a <b> & "c"` + "\n")
	assert.Equal(t, `{"error":"a <b> & \"c\"\n"}`, string(got))
}

func FuzzInitBody(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Add([]byte(`{"value":{"name":"add","main":"main","code":"QUJD","binary":true,"env":{"a":"b","c":null},"annotations":{"dir":"/tmp","net":["a.example"]}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decodeInit(body)
		if err != nil {
			requireRefusal(t, err)
			return
		}
		require.True(t, json.Valid(body))
		requireEnv(t, req.env)
		require.True(t, req.wishes.Dir == "" || req.wishes.Dir[0] == '/', "dir %q", req.wishes.Dir)
	})
}

func FuzzRunBody(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Add([]byte(`{"value":[1],"activation_id":"1","deadline":"1690000000000","x":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decodeRun(body)
		if err != nil {
			requireRefusal(t, err)
			return
		}
		require.True(t, json.Valid(body))
		require.True(t, json.Valid(req.input), "input %q", req.input)
		require.Contains(t, "{[", string(req.input[0]))
		requireEnv(t, req.context.Env())
	})
}

func requireRefusal(t *testing.T, err error) {
	t.Helper()
	var refused *whisk.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, whisk.BadRequest, refused.Kind)
}

func requireEnv(t *testing.T, env []string) {
	t.Helper()
	require.LessOrEqual(t, len(env), maxEnv)
	for _, entry := range env {
		name, _, ok := cutEnv(entry)
		require.True(t, ok && name != "", "entry %q", entry)
		require.NotContains(t, entry, "\x00")
	}
}
