package controller_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSequence(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/actions/first", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"parameters":[{"key":"p","value":1}],"limits":{"memory":128}}`)
	s.put("_/actions/second", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"limits":{"memory":512}}`)
	s.put("_/actions/inner", `{"exec":{"kind":"sequence","components":["/_/second"]}}`)
	s.put("_/actions/outer", `{"exec":{"kind":"sequence","components":["/_/first","/_/inner"]}}`)
	got := s.do(http.MethodPost, "_/actions/outer?blocking=true", `{"q":2,"error":"given"}`).is(http.StatusOK)
	_, short := s.recordOf(got.field("activationId"))
	require.Len(t, short, 1, "an error in a result ends a sequence")

	got = s.do(http.MethodPost, "_/actions/outer?blocking=true", `{"q":2}`).is(http.StatusOK)
	got.says(`{"namespace":"guest","name":"outer","version":"0.0.1","subject":"guest","activationId":"…","start":"…","end":"…","duration":14,"publish":false,
		"response":{"result":{"p":1,"q":2},"size":13,"status":"success","success":true},"logs":["…","…"],
		"annotations":[{"key":"topmost","value":true},{"key":"path","value":"guest/outer"},{"key":"kind","value":"sequence"},
		{"key":"limits","value":{"timeout":60000,"memory":512,"logs":10,"concurrency":1}},{"key":"waitTime","value":"…"}]}`)
	whole, parts := s.recordOf(got.field("activationId"))
	require.Len(t, parts, 2)
	for i, name := range []string{"first", "inner"} {
		causedBy, _ := parts[i].Annotations.Text("causedBy")
		assert.Equal(t, name, string(parts[i].Name))
		assert.Equal(t, whole.ID, parts[i].Cause, name)
		assert.Equal(t, "sequence", causedBy, name)
	}
	topmost, _ := parts[1].Annotations.Get("topmost")
	assert.Equal(t, "false", string(topmost))
	_, parts = s.recordOf(string(parts[1].ID))
	assert.Equal(t, "second", string(parts[0].Name))
}

func TestSequencesThatFail(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("echo", "echo it")
	s.action("list", "answer [1]")
	s.action("boom", "developer boom")
	s.action("gone", "echo it")
	sequence := func(name string, components ...string) {
		s.put("_/actions/"+name, `{"exec":{"kind":"sequence","components":["/_/`+strings.Join(components, `","/_/`)+`"]}}`)
	}
	sequence("fails", "echo", "boom", "echo")
	sequence("misses", "echo", "gone", "echo")
	sequence("lists", "list", "echo")
	s.do(http.MethodDelete, "_/actions/gone", "").is(http.StatusOK)

	got := s.do(http.MethodPost, "_/actions/fails?blocking=true", ``).is(http.StatusBadGateway)
	assert.Contains(t, got.body, `"response":{"result":{"error":"boom"},"size":16,"status":"action developer error","success":false}`)
	_, parts := s.recordOf(got.field("activationId"))
	assert.Len(t, parts, 2)
	got = s.do(http.MethodPost, "_/actions/misses?blocking=true", ``).is(http.StatusBadGateway)
	assert.Contains(t, got.body, `{"error":"Sequence component does not exist."},"size":46,"status":"application error"`)
	assert.Equal(t, `[1]`, s.do(http.MethodPost, "_/actions/lists?blocking=true", ``).is(http.StatusOK).body)
}

func TestComponentsMayBeGivenWhatIsFinal(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/actions/final", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"annotations":[{"key":"final","value":true}],"parameters":[{"key":"a","value":1}]}`)
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/final","/_/final"]}}`)
	assert.Equal(t, `{"a":1}`, s.do(http.MethodPost, "_/actions/seq?blocking=true&result=true", ``).is(http.StatusOK).body)
}

func TestSequencesAreBoundedWhenTheyRun(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("a", "echo it")
	s.action("grows", "echo it")
	s.put("_/actions/outer", `{"exec":{"kind":"sequence","components":["/_/grows","/_/grows"]}}`)
	s.put("_/actions/grows?overwrite=true", `{"exec":{"kind":"sequence","components":["`+strings.Repeat(`/_/a","`, 29)+`/_/a"]}}`)
	got := s.do(http.MethodPost, "_/actions/outer?blocking=true&result=true", ``).is(http.StatusBadGateway)
	assert.Equal(t, `{"error":"Too many actions in the sequence."}`, got.body)
}

func TestAcceptedSequences(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("wait", "wait for it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/wait"]}}`)
	id := s.do(http.MethodPost, "_/actions/seq", ``).is(http.StatusAccepted).field("activationId")
	promised := map[string]bool{}
	for promise, err := range s.store.Pending(t.Context()) {
		require.NoError(t, err)
		promised[string(promise.ID)] = true
	}
	assert.True(t, promised[id], "what was answered with 202 is promised")
}

func TestConductors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/actions/conductor", `{"exec":{"kind":"wasm:0.1","code":"conduct it"},"annotations":[{"key":"conductor","value":true}]}`)
	s.put("_/packages/pkg", `{}`)
	s.action("pkg/a", "echo it")
	s.action("b", "echo it")
	for _, c := range []struct {
		steps string
		logs  int
		want  string
	}{
		{``, 1, `{"q":1}`},
		{`"b"`, 3, `{"q":1}`},
		{`"/_/b","pkg/a","guest/pkg/a","/guest/pkg/a"`, 9, `{"q":1}`},
		{`"none"`, 2, `{"error":"Failed to resolve action with name 'guest/none' during composition."}`},
		{`"none/a"`, 2, `{"error":"Failed entitlement check for action with name 'guest/none/a' during composition."}`},
		{`"/other/a"`, 2, `{"error":"Failed entitlement check for action with name 'other/a' during composition."}`},
		{`"pkg/none"`, 2, `{"error":"Failed to resolve action with name 'guest/pkg/none' during composition."}`},
		{`null`, 2, `{"error":"Failed to parse action name from json value null during composition."}`},
		{`5`, 2, `{"error":"Failed to parse action name from json value 5 during composition."}`},
	} {
		t.Run(c.steps, func(t *testing.T) {
			got := s.do(http.MethodPost, "_/actions/conductor?blocking=true", fmt.Sprintf(`{"q":1,"steps":[%s]}`, c.steps)).is(http.StatusOK)
			whole, parts := s.recordOf(got.field("activationId"))
			assert.JSONEq(t, c.want, string(whole.Response.Result))
			assert.Len(t, parts, c.logs)
			conductor, _ := whole.Annotations.Get("conductor")
			assert.Equal(t, "true", string(conductor))
		})
	}
	long := strings.Repeat(`"b",`, 50) + `"b"`
	got := s.do(http.MethodPost, "_/actions/conductor?blocking=true&result=true", `{"steps":[`+long+`]}`)
	assert.JSONEq(t, `{"error":"Too many actions in the composition."}`, got.body)
}
