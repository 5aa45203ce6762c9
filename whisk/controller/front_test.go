package controller_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPagesForEverybody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ path, want string }{
		{"/ping", "pong"},
		{"/invokers", `{"0":"up"}`},
		{"/invokers/healthy/count", "1"},
		{"/invokers/ready", `{"healthy":"1/1"}`},
		{"/activation", "[]"},
		{"/activation/count", "0"},
		{"/api/v1", `{"api_version":"1.0.0","api_version_path":"v1","build":"2026","buildno":"0","description":"OpenWhisk API","swagger_paths":{"api-docs":"/api-docs","ui":"/docs"}}`},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			got := s.do(http.MethodGet, c.path, "", anonymous).is(http.StatusOK)
			assert.Equal(t, c.want, got.body)
			head := s.do(http.MethodHead, c.path, "", anonymous).is(http.StatusOK)
			assert.Empty(t, head.body)
			assert.Equal(t, got.header.Get("Content-Length"), head.header.Get("Content-Length"))
		})
	}
	assert.Contains(t, s.do(http.MethodGet, "/metrics", "").is(http.StatusOK).body, "wasmwhisk_api_activations_in_flight 0")
	platform := s.do(http.MethodGet, "/", "", anonymous).is(http.StatusOK).body
	assert.Contains(t, platform, `"actions_per_minute":2147483647,`, "wskdeploy wants numbers without a sign")
	assert.Contains(t, platform, `"kind":"wasm:0.1","image":"wasmwhisk","deprecated":false,"default":true`)
}

func TestWhoAsks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const missing = "The resource requires authentication, which was not supplied with the request"
	const wrong = "The supplied authentication is invalid"
	for _, c := range []struct {
		name, path, user, secret, want string
	}{
		{"nobody", "_/actions", "", "", missing},
		{"nobody, no route", "/api/v1/nowhere", "", "", missing},
		{"unknown", "_/actions", "a", "b", wrong},
		{"wrong secret", "_/actions", "23bc46b1-71f6-4ed5-8c54-816aa4f8c502", "b", wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := s.do(http.MethodGet, c.path, "", func(req *http.Request) {
				if anonymous(req); c.user != "" {
					req.SetBasicAuth(c.user, c.secret)
				}
			})
			got.refused(http.StatusUnauthorized, c.want)
			assert.Equal(t, `Basic realm="OpenWhisk secure realm"`, got.header.Get("WWW-Authenticate"))
		})
	}
}

func TestGuestIsNotForPagesOfOthers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for origin, status := range map[string]int{
		"http://localhost:3232": http.StatusOK, "http://127.0.0.1": http.StatusOK, "http://[::1]:80": http.StatusOK,
		"https://example.com": http.StatusUnauthorized, "null": http.StatusUnauthorized, "http://localhost.example.com": http.StatusUnauthorized, "%": http.StatusUnauthorized,
	} {
		s.do(http.MethodGet, "_/actions", "", header("Origin", origin)).is(status)
	}
	s.do(http.MethodGet, "_/actions", "", header("Origin", "https://example.com"), s.asOther).is(http.StatusOK)
}

func TestRouting(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const none = "The requested resource could not be found."
	s.do(http.MethodGet, "/nowhere", "", anonymous).refused(http.StatusNotFound, none)
	s.do(http.MethodGet, "/api/v1/nowhere", "").refused(http.StatusNotFound, none)
	s.do(http.MethodGet, "_", "").refused(http.StatusNotFound, none)
	s.do(http.MethodPost, "_/packages/refresh", "").refused(http.StatusMethodNotAllowed,
		"HTTP method not allowed, supported methods: DELETE, GET, PUT")
	s.do(http.MethodGet, "_/actions?limit="+strings.Repeat("1", 9000), "").refused(http.StatusRequestURITooLong,
		"URI length exceeds the configured limit of 8192 characters")
	for _, path := range []string{"_/rules/a/b", "_/rules/r/", "_/actions/p/a/", "_/actions/p/a/b", "_/limits/x", "_/activations/x/y", "/ping/"} {
		s.do(http.MethodGet, path, "").refused(http.StatusNotFound, none)
	}
	s.do(http.MethodGet, "_/actions/a%2Fb", "").refused(http.StatusBadRequest, "The name of the entity contains illegal characters.")
	s.do(http.MethodGet, "/api/v1/namespaces/-/actions", "").refused(http.StatusBadRequest, "The namespace contains illegal characters.")
	s.do(http.MethodGet, "/api/v1/namespaces/"+strings.Repeat("a", 300)+"/actions", "").refused(http.StatusBadRequest, "Namespace longer than allowed: 300 > 256.")
	s.do(http.MethodGet, "_/actions/"+strings.Repeat("a", 300), "").refused(http.StatusBadRequest, "Name segement longer than allowed: 300 > 256.")
}

func TestCollectionsMayEndInASlash(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("a", "echo it")
	id := s.do(http.MethodPost, "_/actions/a?blocking=true", "").is(http.StatusOK).field("activationId")
	for _, path := range []string{
		"/invokers", "/activation", "/api-docs", "/docs", "/api/v1", "/api/v1/api-docs", "/api/v1/docs", "/api/v1/namespaces",
		"_/limits", "_/actions", "_/triggers", "_/rules", "_/packages", "_/activations", "_/activations/" + id,
	} {
		want := s.do(http.MethodGet, path, "").is(http.StatusOK).body
		assert.Equal(t, want, s.do(http.MethodGet, path+"/", "").is(http.StatusOK).body, path)
		s.do(http.MethodHead, path+"/", "").is(http.StatusOK)
	}
	s.do(http.MethodPost, "_/actions/", "").refused(http.StatusMethodNotAllowed, "HTTP method not allowed, supported methods: GET")
	s.do(http.MethodGet, "/api/v1/namespaces/", "", anonymous).is(http.StatusUnauthorized)
}

func TestTransactionIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Regexp(t, `^[A-Za-z0-9]{32}$`, s.do(http.MethodGet, "/ping", "").header.Get("X-Request-Id"))
	assert.Equal(t, "mine", s.do(http.MethodGet, "/ping", "", header("X-Request-Id", "mine")).header.Get("X-Request-Id"))
	assert.Regexp(t, `^[A-Za-z0-9]{32}$`, s.do(http.MethodGet, "/ping", "", header("X-Request-Id", "sid_1")).header.Get("X-Request-Id"))
	s.do(http.MethodGet, "_/actions/none", "", header("X-Request-Id", "mine")).says(`{"error":"The requested resource does not exist.","code":"mine"}`)
}

func TestOtherSitesMayAsk(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"_/actions", "/api/v1/bogus"} {
		got := s.do(http.MethodOptions, path, "", anonymous).is(http.StatusOK)
		assert.Equal(t, "*", got.header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent", got.header.Get("Access-Control-Allow-Headers"))
		assert.Equal(t, "GET, DELETE, POST, PUT, HEAD", got.header.Get("Access-Control-Allow-Methods"))
	}
}

func TestQueryParameters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ path, parameter, want string }{
		{"_/actions?limit=x", "limit", "The value 'x' is not an integer for actions."},
		{"_/actions?limit=201", "limit", "The value '201' is not in the range of 0 to 200 for actions."},
		{"_/rules?limit=-1", "limit", "The value '-1' is not in the range of 0 to 200 for rules."},
		{"_/triggers?skip=-1", "skip", "The value '-1' is not greater than or equal to 0 for triggers."},
		{"_/packages?skip=1.5", "skip", "The value '1.5' is not an integer for packages."},
		{"_/packages?count=perhaps", "count", "'perhaps' is not a valid Boolean value"},
		{"_/activations?since=yesterday", "since", "Parameter is not a valid value for epoch seconds: yesterday"},
		{"_/activations?name=a/b/c", "name", "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			s.do(http.MethodGet, c.path, "").refused(http.StatusBadRequest,
				"The query parameter '"+c.parameter+"' was malformed:\n"+c.want)
		})
	}
	s.do(http.MethodGet, "_/activations?docs=true&count=true", "").refused(http.StatusBadRequest, "The parameter 'docs' is not permitted with 'count'.")
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do(http.MethodPut, "_/triggers/t", `{`).refused(http.StatusBadRequest, "The request content was malformed:\nunexpected end of JSON input")
	s.do(http.MethodPut, "_/triggers/t", ``).is(http.StatusBadRequest)
	s.do(http.MethodPut, "_/triggers/t", `{}`, header("Content-Type", "text/plain")).refused(http.StatusUnsupportedMediaType,
		"The request's Content-Type is not supported. Expected:\napplication/json")
	s.do(http.MethodPut, "_/triggers/t", `{}`, header("Content-Type", "application/json; charset=utf-8")).is(http.StatusOK)
	s.do(http.MethodPut, "_/triggers/t?overwrite=true", "{\"annotations\":[{\"key\":\"k\",\"value\":\"\xff\"}]}").refused(http.StatusBadRequest, "The request content was malformed:\nThe text is not UTF-8.")
	s.do(http.MethodPost, "_/triggers/t", "{\"x\":\"\xff\"}").refused(http.StatusBadRequest, "The request content was malformed:\nThe text is not UTF-8.")
	big := `{"x":"` + strings.Repeat("a", 1<<20) + `"}`
	s.do(http.MethodPost, "_/triggers/t", big).refused(http.StatusRequestEntityTooLarge, "Request larger than allowed: 1048584 > 1048576 bytes.")
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do(http.MethodGet, "/api/v1/namespaces", "").says(`["guest"]`)
	s.do(http.MethodGet, "/api/v1/namespaces", "", s.asOther).says(`["other"]`)
	s.do(http.MethodGet, "_/limits", "").is(http.StatusOK).says(`{"invocationsPerMinute":-1,"concurrentInvocations":-1,"firesPerMinute":-1,"minActionMemory":1,"maxActionMemory":512,"minActionLogs":0,"maxActionLogs":10,"minActionTimeout":100,"maxActionTimeout":300000,"minActionConcurrency":1,"maxActionConcurrency":500,"maxParameterSize":"1 MB","maxPayloadSize":"1 MB","maxResponseSize":"1 MB","maxActionInstances":-1}`)
	s.do(http.MethodGet, "/api/v1/namespaces/other/limits", "").refused(http.StatusForbidden, "The supplied authentication is not authorized to access 'other'.")
}
