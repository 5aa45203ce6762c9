package executor

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var scanSeeds = []string{
	`{}`, ` { } `, `{"a":1}`, `{"a":1,}`, `{"a" : [1, 2 , {"b":null}] , "c":"d"}`, `{"a":"\u00e9\n\"x\""}`, `{"a":"\ud83d"}`,
	`{"a":01}`, `{"a":-0.5e+10}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":tru}`, `{"a":true,"a":false}`, `{"a":"\x"}`, `{"a":"\u12g4"}`,
	"{\"a\":\"\x01\"}", "{\"a\":\"\n\"}", "{\"\xff\":\"\xff\"}", `{"a":{"b":{"c":[[[]]]}}}`, `[]`, `"x"`, ``, `{`, `{"a"`, `{"a":`, `{"a":1}}`, `{"a":1} x`,
	`{"value":{"name":"❄ ☃ ❄"},"deadline":"1690000000000"}`, `{"\u0061":"b"}`, `{"a":"0123456\"89abcdef"}`, `{"a":"01234567\\"}`,
}

func TestMembers(t *testing.T) {
	t.Parallel()
	var got []string
	err := members([]byte(` { "a" : "x\"y" , "b":[1, 2],"\u0063":null,"a":{"d":true} } `), func(key string, value json.RawMessage) error {
		got = append(got, key+" "+string(value))
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{`a "x\"y"`, `b [1, 2]`, `c null`, `a {"d":true}`}, got)
}

func TestMembersBoundsTheNesting(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	visit := func(string, json.RawMessage) error { return nil }
	for n, want := range map[int]error{1000: nil, maxDepth - 1: nil, maxDepth: errNotJSON, 1_000_000: errNotJSON} {
		require.Equal(t, want == nil, json.Valid(nested(n)), "encoding/json on %d arrays in an object", n)
		assert.ErrorIs(t, members(nested(n), visit), want, "members of %d arrays in an object", n)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`"plain"`: "plain", `""`: "", `"a=b=c"`: "a=b=c", `"\u2744\n"`: "❄\n", "\"\xff\"": "\ufffd",
		`null`: "", `1.50`: "1.50", `true`: "true", `[1,2]`: "[1,2]", `{"a":"b"}`: `{"a":"b"}`,
	} {
		assert.Equal(t, want, text(json.RawMessage(raw)), "text(%s)", raw)
	}
}

// FuzzScan holds the scanner to encoding/json: the same texts are accepted, and
// the members have the same values.
func FuzzScan(f *testing.F) {
	for _, seed := range scanSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := map[string]json.RawMessage{}
		err := members(body, func(key string, value json.RawMessage) error {
			got[key] = value
			return nil
		})
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(body, &want)
		if wantErr == nil && bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
			t.Skip("null is no object here")
		}
		below := membersOf("value", body, func(string, json.RawMessage) error { return nil })
		require.Equal(t, err, below, "membersOf(%q)", body)
		require.Equal(t, wantErr == nil, err == nil, "members(%q) = %v, encoding/json says %v", body, err, wantErr)
		if err == nil {
			require.Equal(t, want, got, "members(%q)", body)
		}
	})
}

// TestPlainEnd looks at texts of all lengths around those that are looked at at once, with
// each kind of end at each place.
func TestPlainEnd(t *testing.T) {
	t.Parallel()
	const longest = 3 * shortText
	for _, end := range []byte{'"', '\\', 0, 0x1f} {
		for size := range longest {
			text := bytes.Repeat([]byte("\x20\x21\x23\x5b\x5d\x7f\x80\xff"), longest/8)[:size]
			require.Equal(t, size, plainEnd(text, 0), "%q", text)
			for at := range text {
				ended := bytes.Clone(text)
				ended[at] = end
				require.Equal(t, at, plainEnd(ended, 0), "%q", ended)
				require.Equal(t, size, plainEnd(ended, at+1), "%q from %d on", ended, at+1)
			}
		}
	}
	for _, at := range []int{2*largeBlock - 1, 5 * largeBlock} {
		text := bytes.Repeat([]byte{' '}, 6*largeBlock)
		text[at], text[len(text)-1] = '\n', '"'
		require.Equal(t, at, plainEnd(text, 0))
		require.Equal(t, len(text)-1, plainEnd(text, at+1))
	}
}

func BenchmarkMembers(b *testing.B) {
	body := []byte(`{"value":{"code":"` + strings.Repeat("QUJD", 1<<20) + `","binary":true}}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := members(body, func(string, json.RawMessage) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMembersOf(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"x":{"a":0},"v":{"a":1,"v":{"a":2}},"y":{"a":3}}`: {"a 1", `v {"a":2}`},
		`{"v":[{"a":1}]}`:           nil,
		`{"v":"text"}`:              nil,
		`{"\u0076" : { "a" : 1 } }`: {"a 1"},
		`{}`:                        nil,
	} {
		var got []string
		require.NoError(t, membersOf("v", []byte(body), func(key string, value json.RawMessage) error {
			got = append(got, key+" "+string(value))
			return nil
		}), body)
		assert.Equal(t, want, got, body)
	}
	for _, body := range []string{`{"v":{"a":1}`, `{"v":{"a"}}`, `{"v":{"a":1}} x`} {
		assert.ErrorIs(t, membersOf("v", []byte(body), func(string, json.RawMessage) error { return nil }), errNotJSON, body)
	}
}
