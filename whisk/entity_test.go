package whisk

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = At(time.UnixMilli(1690000000000))

func name(t *testing.T, s string) FullyQualifiedName {
	t.Helper()
	n, err := ParseFullyQualifiedName(s)
	require.NoError(t, err)
	return n
}

func decode[T any](t *testing.T, body string) *T {
	t.Helper()
	v := new(T)
	require.NoError(t, Decode([]byte(body), v), body)
	return v
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := Encode(v)
	require.NoError(t, err)
	return string(data)
}

func TestActionCreate(t *testing.T) {
	t.Parallel()
	put := decode[ActionPut](t, `{"namespace":"_","name":"add","exec":{"kind":"WASM:0.1 ","code":"AGFzbQ=="},"parameters":[{"key":"a","value":{"<": 1}}]}`)
	a, err := put.Create(name(t, "/guest/add"), now)
	require.NoError(t, err)
	assert.Equal(t, []byte("\x00asm"), a.Exec.Code)
	assert.Equal(t, DigestOf([]byte("\x00asm")), a.Exec.Digest)
	assert.JSONEq(t, `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"}],
		"exec":{"binary":true,"code":"AGFzbQ==","kind":"wasm:0.1"},
		"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},"name":"add","namespace":"guest",
		"parameters":[{"key":"a","value":{"<":1}}],"publish":false,"updated":1690000000000,"version":"0.0.1"}`, encode(t, a))
	assert.JSONEq(t, `{"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"}],
		"exec":{"binary":true},"limits":{"concurrency":1,"logs":10,"memory":256,"timeout":60000},
		"name":"add","namespace":"guest","publish":false,"updated":1690000000000,"version":"0.0.1"}`, encode(t, a.Summary()))
}

func TestActionUpdate(t *testing.T) {
	t.Parallel()
	old := &Action{
		Header: Header{
			Namespace: "guest/pkg", Name: "add", Version: SemVer{Patch: 4},
			Annotations: Parameters(nil).With("gone", 1).With("kept", 1).With("new", 1),
		},
		Parameters: Parameters(nil).With("a", 1),
		Limits:     DefaultLimits(),
		Exec:       NewExec(KindWasm, []byte("x")),
	}
	put := decode[ActionPut](t, `{"annotations":[{"key":"new","value":2}],"delAnnotations":["gone"],"limits":{"timeout":1000},"parameters":[{"key":"b","value":2}]}`)
	a, err := put.Update(old, now)
	require.NoError(t, err)
	assert.Equal(t, "0.0.5", a.Version.String())
	assert.Equal(t, Parameters(nil).With("kept", 1).With("new", 2).With("exec", KindWasm), a.Annotations)
	assert.Equal(t, Parameters(nil).With("b", 2), a.Parameters)
	assert.Equal(t, ActionLimits{Timeout: time.Second, MemoryMB: 256, LogsMB: 10, Concurrency: 1}, a.Limits)
	assert.Equal(t, old.Exec, a.Exec)
}

func TestSequence(t *testing.T) {
	t.Parallel()
	put := decode[ActionPut](t, `{"exec":{"kind":"sequence","components":["/_/a","/other/p/b"]}}`)
	a, err := put.Create(name(t, "/guest/s"), now)
	require.NoError(t, err)
	assert.JSONEq(t, `{"kind":"sequence","components":["/guest/a","/other/p/b"]}`, encode(t, a.Exec))
	assert.JSONEq(t, `[{"key":"_actions","value":["/guest/a","/other/p/b"]}]`, encode(t, a.Parameters))

	code := decode[ActionPut](t, `{"exec":{"kind":"wasm:0.1","code":"x"}}`)
	a, err = code.Update(a, now)
	require.NoError(t, err)
	assert.Empty(t, a.Parameters, "parameters after a sequence became code")
}

func TestPackage(t *testing.T) {
	t.Parallel()
	p, err := decode[PackagePut](t, `{"binding":{"namespace":"_","name":"base"},"publish":true}`).Create(name(t, "/guest/bound"), now)
	require.NoError(t, err)
	assert.JSONEq(t, `{"namespace":"guest","name":"bound","binding":{"namespace":"guest","name":"base"},"parameters":[],
		"version":"0.0.1","publish":true,"annotations":[{"key":"binding","value":{"namespace":"guest","name":"base"}}],"updated":1690000000000}`, encode(t, p))
	assert.True(t, p.Bound())

	plain, err := decode[PackagePut](t, `{"annotations":[{"key":"binding","value":1},{"key":"a","value":1}]}`).Create(name(t, "/guest/p"), now)
	require.NoError(t, err)
	assert.Equal(t, `[{"key":"a","value":1}]`, encode(t, plain.Annotations), "the annotation binding is the platform's")

	feed := &Action{Header: Header{Name: "f", Annotations: Parameters(nil).With("feed", true)}}
	contents := encode(t, p.WithContents([]*Action{{Header: Header{Name: "a", Version: FirstVersion()}}, feed}))
	assert.Contains(t, contents, `"actions":[{"name":"a","version":"0.0.1","annotations":[]}]`)
	assert.Contains(t, contents, `"feeds":[{"name":"f"`)
}

func TestTriggerAndRule(t *testing.T) {
	t.Parallel()
	trigger, err := decode[TriggerPut](t, `{}`).Create(name(t, "/guest/t"), now)
	require.NoError(t, err)
	trigger.Rules = map[string]RuleLink{"guest/r": {Action: name(t, "/guest/a"), Status: RuleActive}}
	assert.JSONEq(t, `{"namespace":"guest","name":"t","version":"0.0.1","publish":false,"annotations":[],"updated":1690000000000,"parameters":[],
		"limits":{},"rules":{"guest/r":{"action":{"path":"guest","name":"a"},"status":"active"}}}`, encode(t, trigger))

	rule, err := decode[RulePut](t, `{"status":"","trigger":"/_/t","action":{"path":"guest/p","name":"a"}}`).Create(name(t, "/guest/r"), now)
	require.NoError(t, err)
	assert.JSONEq(t, `{"namespace":"guest","name":"r","version":"0.0.1","publish":false,"annotations":[],"updated":1690000000000,"status":"active",
		"trigger":{"path":"guest","name":"t"},"action":{"path":"guest/p","name":"a"}}`, encode(t, rule))
	assert.NotContains(t, encode(t, rule.Summary()), "status")

	rule.Status = RuleInactive
	rule, err = decode[RulePut](t, `{"trigger":"/_/other"}`).Update(rule, now)
	require.NoError(t, err)
	assert.Equal(t, RuleInactive, rule.Status, "an update keeps the status")
	assert.Equal(t, "/guest/other", rule.Trigger.String())
}

// create makes whatever an error of which the table below expects.
func create[P any](build func(*P) error) func([]byte) error {
	return func(body []byte) error {
		p := new(P)
		if err := Decode(body, p); err != nil {
			return err
		}
		return build(p)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	n := FullyQualifiedName{Path: "guest", Name: "default"}
	action := create(func(p *ActionPut) error {
		a, err := p.Create(n, now)
		if err != nil {
			return err
		}
		return DefaultBounds().Check(a.Limits)
	})
	pkg := create(func(p *PackagePut) error { _, err := p.Create(n, now); return err })
	trigger := create(func(p *TriggerPut) error { _, err := p.Create(n, now); return err })
	rule := create(func(p *RulePut) error { _, err := p.Create(n, now); return err })
	limits := func(l string) string { return `{"exec":{"kind":"wasm:0.1","code":"x"},"limits":{` + l + `}}` }
	const malformed = "The request content was malformed:\n"
	for _, c := range []struct {
		name string
		make func([]byte) error
		body string
		kind ErrorKind
		want string
	}{
		{"no exec", action, `{}`, BadRequest, "exec undefined"},
		{"no kind", action, `{"exec":{"code":"x"}}`, BadRequest, malformed + "'kind' must be a string defined in 'exec'"},
		{"kind that is no string", action, `{"exec":{"kind":5,"code":"x"}}`, BadRequest, malformed + "'kind' must be a string defined in 'exec'"},
		{"exec that is no object", action, `{"exec":"x"}`, BadRequest, malformed + "'kind' must be a string defined in 'exec'"},
		{"code that is no string", action, `{"exec":{"kind":"wasm:0.1","code":5}}`, BadRequest, malformed + "'code' malformed: unexpected number"},
		{"components that are no array", action, `{"exec":{"kind":"sequence","components":"/_/a"}}`, BadRequest, malformed + "'components' malformed: unexpected string"},
		{"no code", action, `{"exec":{"kind":"wasm:0.1"}}`, BadRequest, malformed + "'code' must be a string or attachment object defined in 'exec' for 'wasm:0.1' actions"},
		{"long code", action, `{"exec":{"kind":"wasm:0.1","code":"` + strings.Repeat("x", MaxCodeBytes+1) + `"}}`, TooLarge, "exec larger than allowed: 50331649 > 50331648 bytes."},
		{"parameters are an object", action, `{"parameters":{"a":1}}`, BadRequest, malformed + "parameters malformed!"},
		{"parameter without a value", action, `{"parameters":[{"key":"a"}]}`, BadRequest, malformed + "parameters malformed!"},
		{"parameter without a key", action, `{"parameters":[{"key":" ","value":1}]}`, BadRequest, malformed + "parameters malformed!"},
		{"long parameters", trigger, `{"parameters":[{"key":"a","value":"` + strings.Repeat("x", MaxParameterBytes) + `"}]}`, TooLarge, "parameters larger than allowed: 1048579 > 1048576 bytes."},
		{"long annotations", rule, `{"trigger":"/_/t","action":"/_/a","annotations":[{"key":"a","value":"` + strings.Repeat("x", MaxParameterBytes) + `"}]}`, TooLarge, "annotations larger than allowed: 1048579 > 1048576 bytes."},
		{"much memory", action, limits(`"memory":600`), BadRequest, "memory size 600 MB exceeds allowed threshold of 512 MB"},
		{"no memory", action, limits(`"memory":0`), BadRequest, "memory size 0 MB below allowed threshold of 1 MB"},
		{"many logs", action, limits(`"logs":11`), BadRequest, "log size 11 MB exceeds allowed threshold of 10 MB"},
		{"short time", action, limits(`"timeout":50`), BadRequest, "duration 50 milliseconds below allowed threshold of 100 milliseconds"},
		{"long time", action, limits(`"timeout":300001`), BadRequest, "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds"},
		{"time for ever", action, limits(`"timeout":1e300`), BadRequest, malformed + "time limit must be whole number"},
		{"broken time", action, limits(`"timeout":100.5`), BadRequest, malformed + "time limit must be whole number"},
		{"time in words", action, limits(`"timeout":"soon"`), BadRequest, malformed + "time limit malformed"},
		{"memory in words", action, limits(`"memory":"all"`), BadRequest, malformed + "memory limit malformed"},
		{"broken memory", action, limits(`"memory":1.5`), BadRequest, malformed + "memory limit must be whole number"},
		{"broken logs", action, limits(`"logs":1.5`), BadRequest, malformed + "log limit must be whole number"},
		{"less than no instances", action, limits(`"instances":-1`), BadRequest, malformed + "Action container concurrency must be greater than or equal to 0."},
		{"limits that are no object", action, `{"limits":[]}`, BadRequest, malformed + "limits malformed"},
		{"no concurrency", action, limits(`"concurrency":0`), BadRequest, "concurrency 0 below allowed threshold of 1"},
		{"reserved package", pkg, `{}`, BadRequest, "Package name 'default' is reserved."},
		{"feed that is no name", trigger, `{"annotations":[{"key":"feed","value":1}]}`, BadRequest, "Feed name is not valid"},
		{"rule without an action", rule, `{"trigger":"/_/t"}`, BadRequest, "rule requires a valid trigger and a valid action"},
		{"rule on a bad name", rule, `{"trigger":"/_/t/","action":"/_/a"}`, BadRequest, "The name of the entity contains illegal characters."},
		{"version", trigger, `{"version":"1.x"}`, BadRequest, malformed + `bad semantic version "1.x"`},
		{"publish that is no bool", trigger, `{"publish":"yes"}`, BadRequest, malformed + "'publish' malformed: unexpected string"},
		{"deleted annotations that are no array", action, `{"delAnnotations":"a"}`, BadRequest, malformed + "'delAnnotations' malformed: unexpected string"},
		{"no object", trigger, `[]`, BadRequest, malformed + "Object expected"},
		{"null", trigger, ` null `, BadRequest, malformed + "Object expected"},
		{"no JSON", trigger, `{`, BadRequest, malformed + "unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.make([]byte(c.body))
			var refusal *Error
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, c.want, refusal.Message)
			assert.Equal(t, c.kind, refusal.Kind)
		})
	}
}

func TestEntityNames(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a": "", "a b": "", "_x@.&-": "", strings.Repeat("a", 256): "",
		"":                       "The name of the entity contains illegal characters.",
		" a":                     "The name of the entity contains illegal characters.",
		"a ":                     "The name of the entity contains illegal characters.",
		"-a":                     "The name of the entity contains illegal characters.",
		"a/b":                    "The name of the entity contains illegal characters.",
		"é":                      "The name of the entity contains illegal characters.",
		"a\n":                    "The name of the entity contains illegal characters.",
		"aé":                     "The name of the entity contains illegal characters.",
		strings.Repeat("a", 300): "Name segement longer than allowed: 300 > 256.",
	} {
		_, err := ParseEntityName(s)
		if want == "" {
			assert.NoError(t, err, "ParseEntityName(%q)", s)
		} else {
			assert.EqualError(t, err, want, "ParseEntityName(%q)", s)
		}
	}
}

func TestFullyQualifiedName(t *testing.T) {
	t.Parallel()
	n := name(t, "/_/pkg/add")
	assert.Equal(t, FullyQualifiedName{Path: "_/pkg", Name: "add"}, n)
	assert.Equal(t, "/guest/pkg/add", n.Resolve("guest").String())
	assert.Equal(t, EntityName("pkg"), n.Path.Package())
	assert.Equal(t, PackagePath("guest", "pkg"), n.Resolve("guest").Path)
	assert.Equal(t, EntityPath("__/pkg"), EntityPath("__/pkg").Resolve("guest"))
	for _, s := range []string{"", "/", "a", "/a", "/a/b/c/d", "/a//b"} {
		_, err := ParseFullyQualifiedName(s)
		assert.Error(t, err, "ParseFullyQualifiedName(%q)", s)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	p := *decode[Parameters](t, `[{"key":"a","value":1},{"key":"s","value":"x","init":true},{"key":"n","value":null,"init":true},{"key":"a","value":{"b": [1, 2]},"init":true}]`)
	require.Len(t, p, 3)
	atInit, atRun := p.Split()
	assert.Empty(t, atRun)
	assert.Equal(t, map[string]string{"a": `{"b":[1,2]}`, "s": "x", "n": ""}, atInit.Env())
	assert.True(t, p.Defines("a"))
	assert.False(t, p.Defines("n"), "null does not define")
	assert.False(t, p.Defines("z"))
	merged := p.Merge(Parameters(nil).With("s", "y").With("z", true))
	assert.Equal(t, "y", merged.Env()["s"])
	assert.Equal(t, "x", p.Env()["s"], "Merge left its receiver alone")
	assert.True(t, merged.Truthy("z"))
	assert.False(t, p.Without("a").Truthy("a"))
	assert.Equal(t, "[]", encode(t, Parameters(nil)))

	odd := Parameters{
		{Key: "q\"\n<é", Value: json.RawMessage(` {"<" : [1, 2]} `), Init: true, Encryption: "aes-128"},
		{Key: "none"},
	}
	assert.Equal(t, `[{"key":"q\"\n<é","value":{"<":[1,2]},"init":true,"encryption":"aes-128"},{"key":"none","value":null}]`, encode(t, odd))
	_, err := Encode(Parameters{{Key: "broken", Value: json.RawMessage(`{"a":1}},{"key":"b"`)}})
	assert.Error(t, err, "Encode of a value that is no JSON")
}

func TestExecBinary(t *testing.T) {
	t.Parallel()
	for code, binary := range map[string]bool{
		"AGFzbQ==": true, " AGFzbQ==\n": true, "AGFz": true,
		"AGFzb": false, "": false, "AG\nFzb": false, "function main() {}": false, "A===": false,
	} {
		body, err := json.Marshal(map[string]string{"kind": "wasm:0.1", "code": code})
		require.NoError(t, err)
		assert.Equal(t, binary, decode[Exec](t, string(body)).Binary, "binary of %q", code)
	}
}

func TestActivation(t *testing.T) {
	t.Parallel()
	duration := int64(5)
	a := &Activation{
		Namespace: "guest", Name: "add", Version: FirstVersion(), Subject: "guest", ID: "0123456789abcdef0123456789abcdef",
		Start: 1, End: 6, Duration: &duration, Logs: []string{},
		Response:    Response{Status: DeveloperError, Result: json.RawMessage(`{"error":"<"}`), Size: 13},
		Annotations: Parameters(nil).With("path", "other/pkg/add"),
	}
	text := encode(t, a)
	assert.JSONEq(t, `{"namespace":"guest","name":"add","version":"0.0.1","subject":"guest","activationId":"0123456789abcdef0123456789abcdef",
		"start":1,"end":6,"duration":5,"response":{"result":{"error":"<"},"size":13,"status":"action developer error","success":false},
		"logs":[],"annotations":[{"key":"path","value":"other/pkg/add"}],"publish":false}`, text)
	assert.Equal(t, a, decode[Activation](t, text))
	assert.Contains(t, encode(t, a.Summary()), `"statusCode":2`)

	assert.Equal(t, "pkg/add", a.FilterName())
	a.Annotations = a.Annotations.With("binding", "guest/bound")
	assert.Equal(t, "bound/add", a.FilterName())
	a.Annotations = Parameters(nil).With("path", "guest/add")
	assert.Equal(t, "add", a.FilterName())
}

func TestActivationID(t *testing.T) {
	t.Parallel()
	id, err := ParseActivationID(string(NewActivationID()))
	require.NoError(t, err)
	assert.Equal(t, byte('7'), id[12], "version of %s", id)
	_, err = ParseActivationID("12")
	assert.EqualError(t, err, "Activation id length is 2 but must be 32.")
	_, err = ParseActivationID(strings.Repeat("x", 32))
	assert.EqualError(t, err, "The activation id is not valid.")
}

func TestLaterActivationIDsAreGreater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for last := ActivationID(""); time.Since(time.Unix(946684800, 0)) < time.Minute; time.Sleep(time.Second) {
			id := NewActivationID()
			assert.Less(t, last, id)
			last = id
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	key := NewKey()
	assert.Len(t, key.Secret, 64)
	parsed, err := ParseKey(key.Text())
	require.NoError(t, err)
	assert.Equal(t, key, parsed)
	assert.NotContains(t, key.String(), key.Secret)
	assert.Equal(t, key.UUID, key.Renew().UUID)
	assert.False(t, key.WellKnown())
	assert.True(t, GuestKey().WellKnown())
	assert.True(t, key.Strong() && GuestKey().Strong())
	assert.False(t, Key{UUID: key.UUID, Secret: "short"}.Strong())
	for _, s := range []string{"", "a", ":b", "a:"} {
		_, err := ParseKey(s)
		assert.Error(t, err, "ParseKey(%q)", s)
	}
}

func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	for kind := BadRequest; kind <= UnsupportedMedia; kind++ {
		assert.NotZero(t, kind.HTTPStatus(), "ErrorKind(%d).HTTPStatus()", kind)
	}
	assert.Equal(t, 409, Conflict.HTTPStatus())
	assert.Equal(t, 500, ErrorKind(0).HTTPStatus())
	assert.Equal(t, 500, ErrorKind(99).HTTPStatus())
}

func FuzzPut(f *testing.F) {
	f.Add([]byte(`{"exec":{"kind":"wasm:0.1","code":"AGFz"},"parameters":[{"key":"a","value":1}],"limits":{"timeout":1}}`))
	f.Add([]byte(`{"exec":{"kind":"sequence","components":["/_/a"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var put ActionPut
		if Decode(body, &put) != nil {
			return
		}
		a, err := put.Create(FullyQualifiedName{Path: "guest", Name: "a"}, now)
		if err != nil {
			return
		}
		var again Action
		require.NoError(t, Decode([]byte(encode(t, a)), &again))
		assert.Equal(t, encode(t, a), encode(t, again))
	})
}

// FuzzAppendJSON holds what is written by hand to what package json writes.
func FuzzAppendJSON(f *testing.F) {
	for _, text := range []string{"", "guest", "a \"b\" \\", "<&>", "\x00\n\x7f", "\u2028 é", "\xff"} {
		f.Add(text, int64(-1), 7, true)
		f.Add(text, int64(0), 0, false)
	}
	f.Fuzz(func(t *testing.T, text string, n int64, small int, yes bool) {
		value, err := Encode(text)
		require.NoError(t, err)
		s := &ActivationSummary{
			Namespace: EntityName(text), Name: "a", Version: SemVer{small, 0, 1}, Publish: yes,
			ID: ActivationID(text), Start: Timestamp(n), End: Timestamp(small), Cause: ActivationID(text), StatusCode: Status(small),
			Annotations: Parameters{{Key: text, Value: value, Init: yes, Encryption: text}, {Key: "null"}},
		}
		if yes {
			s.Duration = &n
		}
		want, err := Encode(s)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(s.AppendJSON(nil)), "AppendJSON of %+v", s)

		if got, ok := s.Annotations.Text(text); assert.True(t, ok, "Text(%q)", text) {
			var plain string
			require.NoError(t, json.Unmarshal(value, &plain))
			assert.Equal(t, plain, got, "Text(%q)", text)
		}

		limits := ActionLimits{Timeout: time.Duration(small) * time.Millisecond, MemoryMB: small, Instances: small}
		var put map[string]int64
		require.NoError(t, json.Unmarshal(limits.AppendJSON(nil), &put))
		assert.Equal(t, int64(small), put["memory"], "memory of %+v", limits)

		texts := []string{text, text}
		want, err = Encode(texts)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(AppendTexts(nil, texts)), "AppendTexts(%q)", texts)
	})
}
