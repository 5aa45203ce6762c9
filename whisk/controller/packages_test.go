package controller_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPackageLifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/pkg?overwrite=false", `{"namespace":"_","name":"pkg","publish":true,"annotations":[{"key":"x","value":"y"}],"parameters":[{"key":"k","value":"v"}]}`).says(
		`{"namespace":"guest","name":"pkg","version":"0.0.1","publish":true,"updated":"…","annotations":[{"key":"x","value":"y"}],"parameters":[{"key":"k","value":"v"}],"binding":{}}`)
	s.do(http.MethodPut, "_/packages/pkg", `{}`).refused(http.StatusConflict, "resource already exists")
	assert.Equal(t, "0.0.2", s.put("_/packages/pkg?overwrite=true", `{"parameters":[{"key":"k","value":"v2"}]}`).field("version"))

	s.action("pkg/a", "echo it")
	s.put("_/actions/pkg/f", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"annotations":[{"key":"feed","value":true}]}`)
	const contents = `"actions":[{"name":"a","version":"0.0.1","annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"}]}],
		"feeds":[{"name":"f","version":"0.0.1","annotations":[{"key":"feed","value":true},{"key":"provide-api-key","value":false},{"key":"exec","value":"wasm:0.1"}]}]}`
	s.do(http.MethodGet, "_/packages/pkg", "").is(http.StatusOK).says(`{"namespace":"guest","name":"pkg","version":"0.0.2","publish":true,"updated":"…",
		"annotations":[{"key":"x","value":"y"}],"parameters":[{"key":"k","value":"v2"}],"binding":{},` + contents)

	s.put("_/packages/bound", `{"parameters":[{"key":"z","value":1}],"binding":{"namespace":"_","name":"pkg"}}`).says(
		`{"namespace":"guest","name":"bound","version":"0.0.1","publish":false,"updated":"…","annotations":[{"key":"binding","value":{"namespace":"guest","name":"pkg"}}],
		"parameters":[{"key":"z","value":1}],"binding":{"namespace":"guest","name":"pkg"}}`)
	s.do(http.MethodGet, "_/packages/bound", "").is(http.StatusOK).says(
		`{"namespace":"guest","name":"bound","version":"0.0.1","publish":false,"updated":"…","annotations":[{"key":"binding","value":{"namespace":"guest","name":"pkg"}}],
		"parameters":[{"key":"k","value":"v2"},{"key":"z","value":1}],"binding":{"namespace":"guest","name":"pkg"},` + contents)
	assert.Equal(t, []string{"bound", "pkg"}, s.do(http.MethodGet, "_/packages?public=true", "").names())

	s.do(http.MethodDelete, "_/packages/pkg", "").refused(http.StatusConflict, "Package not empty (contains 2 entities). Set force param or delete package contents.")
	s.do(http.MethodDelete, "_/actions/pkg/f", "").is(http.StatusOK)
	s.do(http.MethodDelete, "_/packages/pkg", "").refused(http.StatusConflict, "Package not empty (contains 1 entity). Set force param or delete package contents.")
	s.do(http.MethodDelete, "_/packages/pkg?force=true", "").is(http.StatusOK)
	assert.Empty(t, s.do(http.MethodGet, "_/actions", "").names())
	s.do(http.MethodGet, "_/packages/pkg", "").refused(http.StatusNotFound, "The requested resource 'guest/pkg' does not exist.")
	s.do(http.MethodDelete, "_/packages/bound", "").is(http.StatusOK)
	s.do(http.MethodDelete, "_/packages/bound", "").refused(http.StatusNotFound, "The requested resource does not exist.")
}

func TestPackagesRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/pkg", `{}`)
	s.put("_/packages/bound", `{"binding":{"namespace":"_","name":"pkg"}}`)
	s.put("_/triggers/trigger", `{}`)
	for _, c := range []struct {
		name, path, body string
		status           int
		want             string
	}{
		{"reserved", "default", `{}`, 400, "Package name 'default' is reserved."},
		{"of another kind", "trigger", `{}`, 409, "Resource by this name exists but is not in this collection."},
		{"to nothing", "b", `{"binding":{"namespace":"_","name":"none"}}`, 400, "Binding references a package that does not exist."},
		{"to a binding", "b", `{"binding":{"namespace":"_","name":"bound"}}`, 400, "Cannot bind to another package binding."},
		{"to a trigger", "b", `{"binding":{"namespace":"_","name":"trigger"}}`, 409, "Cannot bind to a resource that is not a package."},
		{"conversion", "pkg?overwrite=true", `{"binding":{"namespace":"_","name":"bound"}}`, 409, "Resource is a package and cannot be converted into a binding."},
		{"to foreign", "b", `{"binding":{"namespace":"other","name":"p"}}`, 403, "The supplied authentication is not authorized to access 'other/p'."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s.do(http.MethodPut, "_/packages/"+c.path, c.body).refused(c.status, c.want)
		})
	}
	s.do(http.MethodGet, "_/packages/trigger", "").refused(http.StatusConflict, "Resource by this name exists but is not in this collection.")
}

func TestBindingsThatBecameCircular(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/pkg", `{}`)
	s.put("_/packages/end", `{}`)
	s.put("_/packages/bound", `{"binding":{"namespace":"_","name":"pkg"}}`)
	s.do(http.MethodDelete, "_/packages/pkg", "").is(http.StatusOK)
	s.put("_/packages/pkg", `{"binding":{"namespace":"_","name":"end"}}`)
	s.do(http.MethodGet, "_/packages/bound", "").refused(http.StatusUnprocessableEntity, "Package binding 'guest/bound' contains a circular reference.")
}
