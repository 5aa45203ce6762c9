package controller_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
)

const echoAction = `{"exec":{"kind":"wasm:0.1","code":"echo it"}}`

func TestActionLifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const created = `{"namespace":"guest","name":"add","version":"0.0.1","publish":false,"updated":"…",
		"annotations":[{"key":"note","value":"hi"},{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"}],
		"parameters":[{"key":"a","value":1}],"limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1},
		"exec":{"kind":"wasm:0.1","code":"AGFzbQEAAAA=","binary":true}}`
	s.put("_/actions/add?overwrite=false", `{"namespace":"_","name":"add","exec":{"kind":"wasm:default","code":"AGFzbQEAAAA="},
		"parameters":[{"key":"a","value":1}],"annotations":[{"key":"note","value":"hi"}],"updated":5,"what":"ever"}`).says(created)
	assert.Len(t, s.guests.precompiled, 1, "create has the code compiled")

	s.do(http.MethodGet, "_/actions/add", "").is(http.StatusOK).says(created)
	s.do(http.MethodGet, "/api/v1/namespaces/guest/actions/add?code=true", "").is(http.StatusOK).says(created)
	s.do(http.MethodGet, "_/actions/add?code=false", "").is(http.StatusOK).says(strings.Replace(created, `"code":"AGFzbQEAAAA=",`, "", 1))

	s.do(http.MethodPut, "_/actions/add", echoAction).refused(http.StatusConflict, "resource already exists")
	s.put("_/actions/add?overwrite=true", `{"limits":{"timeout":1000},"annotations":[{"key":"web-export","value":true}],"delAnnotations":["note"],"parameters":[{"key":"b","value":2}]}`).says(
		`{"namespace":"guest","name":"add","version":"0.0.2","publish":false,"updated":"…",
		"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"},{"key":"web-export","value":true}],
		"parameters":[{"key":"b","value":2}],"limits":{"timeout":1000,"memory":256,"logs":10,"concurrency":1},
		"exec":{"kind":"wasm:0.1","code":"AGFzbQEAAAA=","binary":true}}`)

	s.do(http.MethodGet, "_/actions", "").is(http.StatusOK).says(
		`[{"namespace":"guest","name":"add","version":"0.0.2","publish":false,"updated":"…",
		"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"},{"key":"web-export","value":true}],
		"limits":{"timeout":1000,"memory":256,"logs":10,"concurrency":1},"exec":{"binary":true}}]`)
	assert.Equal(t, `"0.0.2"`, quoted(s.do(http.MethodDelete, "_/actions/add", "").is(http.StatusOK).field("version")))
	s.do(http.MethodGet, "_/actions/add", "").refused(http.StatusNotFound, "The requested resource does not exist.")
	s.do(http.MethodDelete, "_/actions/add", "").refused(http.StatusNotFound, "The requested resource does not exist.")
	assert.Equal(t, "0.0.1", s.put("_/actions/add", echoAction).field("version"), "after a delete")
}

func TestActionsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) {
		c.Bounds = whisk.DefaultBounds()
		c.Bounds.Min.MemoryMB, c.Bounds.Max.Concurrency = 128, 1
		c.Rates.ConcurrentInvocations = 30
	})
	s.put("_/triggers/trigger", `{}`)
	s.put("_/packages/pkg", `{}`)
	s.put("_/packages/bound", `{"binding":{"namespace":"_","name":"pkg"}}`)
	s.action("simple", "echo it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/simple"]}}`)
	limits := func(field, value string) string {
		return `{"exec":{"kind":"wasm:0.1","code":"echo it"},"limits":{"` + field + `":` + value + `}}`
	}
	sequence := func(components ...string) string {
		return `{"exec":{"kind":"sequence","components":["` + strings.Join(components, `","`) + `"]}}`
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"no exec", "a", `{}`, 400, "exec undefined"},
		{"no kind", "a", `{"exec":{"code":"x"}}`, 400, "The request content was malformed:\n'kind' must be a string defined in 'exec'"},
		{"deprecated kind", "a", `{"exec":{"kind":"nodejs:14","code":"x"}}`, 400, "The 'nodejs:14' runtime is no longer supported. You may read and delete but not update or invoke this action."},
		{"parameters", "a", `{"exec":{"kind":"wasm:0.1","code":"x"},"parameters":{"a":1}}`, 400, "The request content was malformed:\nparameters malformed!"},
		{"damaged", "a", `{"exec":{"kind":"wasm:0.1","code":"\u0000asm\u0001\u0000\u0000\u0000"}}`, 400, "The code of this action was damaged on its way: its bytes were taken for text. wsk does this to a raw .wasm file. Put the module in a zip, or in a text file as base64, or send it with Content-Type application/wasm."},
		{"damaged zip", "a", `{"exec":{"kind":"wasm:default","code":"PK\ufffd"}}`, 400, "The code of this action was damaged on its way: its bytes were taken for text. wsk does this to a raw .wasm file. Put the module in a zip, or in a text file as base64, or send it with Content-Type application/wasm."},
		{"little memory", "a", limits("memory", "100"), 400, "memory size 100 MB below allowed threshold of 128 MB"},
		{"much memory", "a", limits("memory", "600"), 400, "memory size 600 MB exceeds allowed threshold of 512 MB"},
		{"short", "a", limits("timeout", "50"), 400, "duration 50 milliseconds below allowed threshold of 100 milliseconds"},
		{"half", "a", limits("timeout", "500.5"), 400, "The request content was malformed:\ntime limit must be whole number"},
		{"much at once", "a", limits("concurrency", "4"), 400, "concurrency 4 exceeds allowed threshold of 1"},
		{"many instances", "a", limits("instances", "31"), 400, "Max action instance concurrency must not exceed your namespace concurrency of 30."},
		{"of another kind", "trigger", echoAction, 409, "Resource by this name exists but is not in this collection."},
		{"no package", "none/a", echoAction, 404, "The requested resource does not exist."},
		{"in a binding", "bound/a", echoAction, 400, "Operation not permitted on package binding."},
		{"empty sequence", "a", `{"exec":{"kind":"sequence","components":[]}}`, 400, "No component specified for the sequence."},
		{"missing component", "a", sequence("/_/none"), 400, "Sequence component does not exist."},
		{"circle", "a", sequence("/_/a"), 400, "Sequence may not refer to itself."},
		{"wider circle", "simple?overwrite=true", sequence("/_/seq"), 400, "Sequence may not refer to itself."},
		{"long sequence", "a", sequence(strings.Split(strings.Repeat("/_/simple ", 51)+"/_/simple", " ")...), 400, "Too many actions in the sequence."},
		{"foreign component", "a", sequence("/other/x"), 403, "The supplied authentication is not authorized to access 'other/x'."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.do(http.MethodPut, "_/actions/"+c.path, c.body).refused(c.status, c.want)
		})
	}
	got := s.do(http.MethodPut, "_/actions/a", `{"exec":{"kind":"cobol:1","code":"x"}}`).is(http.StatusBadRequest)
	assert.Contains(t, got.body, `The specified runtime 'cobol:1' is not supported by this platform. Valid values are: 'wasm:0.1', 'nodejs:14'`)
}

func TestKindsOfOthersAreKept(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/actions/js", `{"exec":{"kind":"nodejs:default","code":"function main(a){return a}"}}`)
	s.do(http.MethodGet, "_/actions/js", "").is(http.StatusOK)
	assert.Equal(t, `{"kind":"nodejs:20","code":"function main(a){return a}","binary":false}`,
		s.do(http.MethodGet, "_/actions/js", "").field("exec"))
	assert.Equal(t, `{"kind":"blackbox","binary":false,"image":"a/b"}`,
		s.put("_/actions/bb", `{"exec":{"kind":"blackbox","image":"a/b"}}`).field("exec"))
}

func TestSequencesShowTheirComponents(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("simple", "echo it")
	got := s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/simple","/guest/simple"]},"parameters":[{"key":"a","value":1}]}`)
	assert.Equal(t, `{"kind":"sequence","components":["/guest/simple","/guest/simple"]}`, got.field("exec"))
	assert.Equal(t, `[{"key":"_actions","value":["/guest/simple","/guest/simple"]}]`, got.field("parameters"))
	assert.Equal(t, `[]`, s.put("_/actions/seq?overwrite=true", echoAction).field("parameters"))
}

func TestRawModulesAreTaken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	module := "\x00asm\x01\x00\x00\x00\xff\xfe"
	got := s.do(http.MethodPut, "_/actions/raw", module, header("Content-Type", "application/wasm")).is(http.StatusOK)
	assert.Equal(t, `{"kind":"wasm:0.1","code":"`+base64.StdEncoding.EncodeToString([]byte(module))+`","binary":true}`, got.field("exec"))
}

func TestActionsInPackages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/pkg", `{"parameters":[{"key":"a","value":1},{"key":"b","value":1},{"key":"c","value":1}]}`)
	s.put("_/packages/bound", `{"binding":{"namespace":"_","name":"pkg"},"parameters":[{"key":"b","value":2},{"key":"c","value":2}]}`)
	s.put("_/actions/pkg/in", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"parameters":[{"key":"c","value":3}]}`)
	s.action("out", "echo it")

	got := s.do(http.MethodGet, "_/actions/bound/in", "").is(http.StatusOK)
	assert.Equal(t, "guest/pkg", got.field("namespace"))
	assert.Equal(t, `[{"key":"a","value":1},{"key":"b","value":2},{"key":"c","value":3}]`, got.field("parameters"))
	assert.Equal(t, `{"namespace":"guest","name":"pkg"}`, got.field("binding"))
	assert.Equal(t, `[{"key":"a","value":1},{"key":"b","value":1},{"key":"c","value":3}]`, s.do(http.MethodGet, "_/actions/pkg/in", "").field("parameters"))

	assert.Equal(t, []string{"out", "in"}, s.do(http.MethodGet, "_/actions", "").names())
	assert.Equal(t, []string{"in"}, s.do(http.MethodGet, "_/actions/pkg/?limit=30&skip=0", "").names())
	assert.Equal(t, []string{"in"}, s.do(http.MethodGet, "_/actions/bound/", "").names())
	s.do(http.MethodGet, "_/actions/none/", "").refused(http.StatusNotFound, "The requested resource does not exist.")
	s.do(http.MethodDelete, "_/actions/bound/in", "").refused(http.StatusBadRequest, "Operation not permitted on package binding.")
	s.do(http.MethodDelete, "_/actions/pkg/in", "").is(http.StatusOK)
	assert.Equal(t, []string{"out"}, s.do(http.MethodGet, "_/actions", "").names())
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, name := range []string{"a", "b", "c"} {
		s.action(name, "echo it")
	}
	assert.Equal(t, []string{"b"}, s.do(http.MethodGet, "_/actions?limit=1&skip=1", "").names(), "the last updated first")
	assert.Equal(t, []string{"c", "b", "a"}, s.do(http.MethodGet, "_/actions?limit=0", "").names(), "0 is as many as may be")
	s.do(http.MethodGet, "_/actions?count=true&skip=1&limit=1", "").says(`{"actions":2}`)
}

func TestForeignNamespaces(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/shared", `{"publish":true}`)
	s.put("_/packages/private", `{}`)
	s.put("_/packages/bound", `{"publish":true,"binding":{"namespace":"_","name":"shared"}}`)
	s.action("shared/a", "echo it")
	s.action("private/a", "echo it")
	s.action("a", "echo it")
	const guest = "/api/v1/namespaces/guest/"
	for _, c := range []struct{ method, path, name string }{
		{http.MethodGet, "actions", "guest"},
		{http.MethodGet, "triggers", "guest"},
		{http.MethodGet, "rules", "guest"},
		{http.MethodGet, "activations", "guest"},
		{http.MethodGet, "actions/a", "guest/a"},
		{http.MethodPost, "actions/a", "guest/a"},
		{http.MethodDelete, "actions/shared/a", "guest/shared/a"},
		{http.MethodGet, "actions/private/a", "guest/private/a"},
		{http.MethodGet, "actions/none/a", "guest/none/a"},
		{http.MethodGet, "actions/bound/a", "guest/bound/a"},
		{http.MethodGet, "packages/private", "guest/private"},
		{http.MethodGet, "packages/none", "guest/none"},
		{http.MethodPost, "triggers/t", "guest/t"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			s.do(c.method, guest+c.path, "", s.asOther).refused(http.StatusForbidden,
				"The supplied authentication is not authorized to access '"+c.name+"'.")
		})
	}
	s.do(http.MethodPut, guest+"actions/x", `{`, s.asOther).refused(http.StatusForbidden,
		"The supplied authentication is not authorized to access 'guest/x'.")
	s.do(http.MethodGet, guest+"actions/shared/a", "", s.asOther).is(http.StatusOK)
	assert.Equal(t, []string{"a"}, s.do(http.MethodGet, guest+"actions/shared/", "", s.asOther).names())
	assert.Equal(t, []string{"shared"}, s.do(http.MethodGet, guest+"packages", "", s.asOther).names())
	s.put("_/actions/shared/s", `{"exec":{"kind":"sequence","components":["/_/shared/a","/_/a"]}}`)
	s.do(http.MethodPost, guest+"actions/shared/s", "", s.asOther).refused(http.StatusForbidden,
		"The supplied authentication is not authorized to access 'guest/a'.")
	got := s.do(http.MethodPost, guest+"actions/shared/a?blocking=true", "", s.asOther).is(http.StatusOK)
	assert.Equal(t, "other", got.field("namespace"), "of who invokes")
}

func TestAllowedKinds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	subject, err := s.store.Subject(t.Context(), whisk.Guest)
	require.NoError(t, err)
	subject.Limits.AllowedKinds = []whisk.Kind{"go:1.20"}
	require.NoError(t, s.store.UpdateSubject(t.Context(), subject))
	s.do(http.MethodPut, "_/actions/a", echoAction).refused(http.StatusForbidden,
		"The supplied authentication is not authorized to access actions of kind 'wasm:0.1'.")
}
