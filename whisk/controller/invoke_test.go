package controller_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/entitlement"
)

func TestInvoke(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("echo", "echo it")
	got := s.do(http.MethodPost, "_/actions/echo?blocking=true&result=false", `{"q":1}`).is(http.StatusOK)
	got.says(`{"namespace":"guest","name":"echo","version":"0.0.1","subject":"guest","activationId":"…","start":"…","end":"…","duration":7,"publish":false,
		"response":{"result":{"q":1},"size":7,"status":"success","success":true},"logs":["2026-01-01T00:00:00.000000000Z stdout: hello"],
		"annotations":[{"key":"path","value":"guest/echo"},{"key":"kind","value":"wasm:0.1"},{"key":"limits","value":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}}]}`)
	id := got.field("activationId")
	assert.Equal(t, id, got.header.Get("X-Openwhisk-Activation-Id"))
	assert.Equal(t, got.body, s.do(http.MethodGet, "_/activations/"+id, "").is(http.StatusOK).body, "the record is stored")

	assert.Equal(t, `{"q":1}`, s.do(http.MethodPost, "_/actions/echo?blocking=true&result=true", `{"q":1}`).is(http.StatusOK).body)
	assert.Equal(t, `{}`, s.do(http.MethodPost, "_/actions/echo?blocking=true&result=true", ``).is(http.StatusOK).body)
	accepted := s.do(http.MethodPost, "_/actions/echo?result=true", ``).is(http.StatusAccepted)
	accepted.says(`{"activationId":"…"}`)
	assert.Equal(t, accepted.field("activationId"), accepted.header.Get("X-Openwhisk-Activation-Id"))
}

func TestInvokeEndings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct {
		code   string
		status int
		result string
	}{
		{"answer [1,2]", http.StatusOK, `[1,2]`},
		{"application boom", http.StatusBadGateway, `{"error":"boom"}`},
		{"developer boom", http.StatusBadGateway, `{"error":"boom"}`},
		{"whisk boom", http.StatusInternalServerError, `{"error":"boom"}`},
	} {
		t.Run(c.code, func(t *testing.T) {
			name := c.code[:3]
			s.action(name, c.code)
			assert.Equal(t, c.result, s.do(http.MethodPost, "_/actions/"+name+"?blocking=true&result=true", "").is(c.status).body)
			whole := s.do(http.MethodPost, "_/actions/"+name+"?blocking=true", "").is(c.status)
			assert.NotEmpty(t, whole.header.Get("X-Openwhisk-Activation-Id"))
			assert.Equal(t, c.result[0] == '[', whole.body == c.result, "arrays alone are bare: %s", whole.body)
		})
	}
}

func TestInvokeRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/actions/final", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"annotations":[{"key":"final","value":true}],"parameters":[{"key":"a","value":1},{"key":"open","value":null}]}`)
	s.action("open", "echo it")
	const badTimeout = "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000."
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"none", ``, 404, "The requested resource does not exist."},
		{"none/a", ``, 404, "The requested resource does not exist."},
		{"final?timeout=0", ``, 400, badTimeout},
		{"final?timeout=60001", ``, 400, badTimeout},
		{"final?timeout=x", ``, 400, badTimeout},
		{"final?blocking=si", ``, 400, "The query parameter 'blocking' was malformed:\n'si' is not a valid Boolean value"},
		{"final", `{"a":2}`, 400, "Request defines parameters that are not allowed (e.g., reserved properties)."},
		{"open", ` [1]`, 400, "The request content was malformed:\nObject expected"},
		{"open", `{}{}`, 400, "The request content was malformed:\nObject expected"},
		{"open", `"a"`, 400, "The request content was malformed:\nObject expected"},
		{"final", `[]`, 400, "The request content was malformed:\nObject expected"},
		{"final", `{"a"`, 400, "The request content was malformed:\nObject expected"},
		{"final", `null`, 400, "The request content was malformed:\nObject expected"},
	} {
		s.do(http.MethodPost, "_/actions/"+c.path, c.body).refused(c.status, c.want)
	}
	assert.Equal(t, `{"a":1,"open":2}`, s.do(http.MethodPost, "_/actions/final?blocking=true&result=true", `{"open":2}`).is(http.StatusOK).body)
	assert.Equal(t, "0", s.do(http.MethodGet, "/activation/count", "").body, "what was refused is not in flight")
}

func TestParametersAreMerged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/packages/pkg", `{"parameters":[{"key":"a","value":"p"},{"key":"b","value":"p"},{"key":"c","value":"p"},{"key":"d","value":"p"}]}`)
	s.put("_/packages/bound", `{"binding":{"namespace":"_","name":"pkg"},"parameters":[{"key":"b","value":"b"},{"key":"c","value":"b"},{"key":"d","value":"b"}]}`)
	s.put("_/actions/pkg/in", `{"exec":{"kind":"wasm:0.1","code":"echo it"},"parameters":[{"key":"c","value":"a"},{"key":"d","value":"a"},
		{"key":"ENV","value":{"x":1},"init":true},{"key":"NONE","value":null,"init":true},{"key":"WORD","value":"w","init":true}]}`)
	got := s.do(http.MethodPost, "_/actions/bound/in?blocking=true", ` { "d" : "i" } `).is(http.StatusOK)
	require.Len(t, s.guests.invocations, 1)
	inv := s.guests.invocations[0]
	assert.JSONEq(t, `{"a":"p","b":"b","c":"a","d":"i"}`, string(inv.Arguments))
	assert.Equal(t, map[string]string{"ENV": `{"x":1}`, "NONE": "", "WORD": "w"}, inv.Env)
	assert.Equal(t, "guest/bound", inv.Binding)
	assert.Equal(t, whisk.GuestKey().Text(), inv.APIKey)
	assert.Equal(t, "in", got.field("name"))
	assert.Len(t, s.do(http.MethodGet, "_/activations?name=bound/in", "").names(), 1)
}

func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("wait", "wait for it")
	s.action("echo", "echo it")
	s.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/wait","/_/echo"]}}`)
	for _, name := range []string{"wait", "seq"} {
		got := s.do(http.MethodPost, "_/actions/"+name+"?blocking=true&timeout=1", ``).is(http.StatusAccepted)
		assert.Equal(t, got.field("activationId"), got.header.Get("X-Openwhisk-Activation-Id"))
		assert.Contains(t, s.do(http.MethodGet, "/activation", "").body, got.field("activationId"))
	}
	close(s.guests.held)
	require.Eventually(t, func() bool { return s.do(http.MethodGet, "/activation/count", "").body == "0" }, 10*time.Second, time.Millisecond)
	assert.Len(t, s.do(http.MethodGet, "_/activations?name=seq", "").names(), 1)
}

// TestRefusedInvocationsAreNotReceived: whoever is past a limit learns it before
// the payload has come.
func TestRefusedInvocationsAreNotReceived(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.Rates = entitlement.Rates{InvocationsPerMinute: 1, FiresPerMinute: 1} })
	inOneMinute()
	s.action("echo", "echo")
	s.put("_/triggers/t", `{}`)
	for _, path := range []string{"actions/echo", "triggers/t"} {
		s.do(http.MethodPost, "_/"+path, ``)
		conn, err := net.Dial("tcp", s.controller.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST /api/v1/namespaces/_/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\nContent-Length: 1000000\r\n\r\n{",
			path, basic(whisk.GuestKey()))
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusTooManyRequests, res.StatusCode, "status of %s", path)
		require.NoError(t, res.Body.Close())
		require.NoError(t, conn.Close())
	}
}

func TestInvocationsAreThrottled(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.Rates = entitlement.Rates{ConcurrentInvocations: 1} })
	s.action("wait", "wait for it")
	s.do(http.MethodPost, "_/actions/wait", ``).is(http.StatusAccepted)
	s.do(http.MethodPost, "_/actions/wait", ``).refused(http.StatusTooManyRequests, "Too many concurrent requests in flight (count: 1, allowed: 1).")
	s.do(http.MethodPut, "/api/v1/namespaces/other/actions/echo", echoAction, s.asOther).is(http.StatusOK)
	s.do(http.MethodPost, "/api/v1/namespaces/other/actions/echo?blocking=true", ``, s.asOther).is(http.StatusOK)
	close(s.guests.held)
	require.Eventually(t, func() bool { return s.do(http.MethodGet, "/activation/count", "").body == "0" }, 10*time.Second, time.Millisecond)
	s.do(http.MethodPost, "_/actions/wait", ``).is(http.StatusAccepted)
}

func TestActivations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("a", "echo it")
	s.action("b", "application boom")
	s.do(http.MethodPost, "_/actions/a?blocking=true", `{"x":1}`).is(http.StatusOK)
	id := s.do(http.MethodPost, "_/actions/b?blocking=true", ``).is(http.StatusBadGateway).field("activationId")
	assert.Equal(t, []string{"b", "a"}, s.do(http.MethodGet, "_/activations", "").names(), "the last started first")
	assert.Equal(t, []string{"a"}, s.do(http.MethodGet, "_/activations?name=a", "").names())
	assert.Empty(t, s.do(http.MethodGet, "_/activations?upto=1", "").names())
	assert.Len(t, s.do(http.MethodGet, "_/activations?since=1&limit=1", "").names(), 1)
	s.do(http.MethodGet, "_/activations?count=true", "").says(`{"activations":2}`)
	s.do(http.MethodGet, "_/activations?limit=1", "").says(`[{"namespace":"guest","name":"b","version":"0.0.1","publish":false,"activationId":"…","start":"…","end":"…","duration":7,"statusCode":1,
		"annotations":[{"key":"path","value":"guest/b"},{"key":"kind","value":"wasm:0.1"},{"key":"limits","value":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}}]}]`)
	assert.Contains(t, s.do(http.MethodGet, "_/activations?docs=true&limit=1", "").body, `"logs":["2026`)
	assert.Equal(t, `{"result":{"error":"boom"},"size":16,"status":"application error","success":false}`, s.do(http.MethodGet, "_/activations/"+id+"/result", "").body)
	assert.Equal(t, `{"logs":["2026-01-01T00:00:00.000000000Z stdout: hello"]}`, s.do(http.MethodGet, "_/activations/"+id+"/logs", "").body)

	s.do(http.MethodGet, "_/activations/00000000000000000000000000000000", "").refused(http.StatusNotFound, "The requested resource does not exist.")
	s.do(http.MethodGet, "_/activations/xyz", "").refused(http.StatusBadRequest, "Activation id length is 3 but must be 32.")
	s.do(http.MethodGet, "_/activations/"+id, "", s.asOther).is(http.StatusNotFound)
}

// recordOf reads the record of a composition and those of its parts.
func (s *server) recordOf(id string) (whole whisk.Activation, parts []whisk.Activation) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.do(http.MethodGet, "_/activations/"+id, "").is(http.StatusOK).body), &whole))
	for _, part := range whole.Logs {
		var record whisk.Activation
		require.NoError(s.t, json.Unmarshal([]byte(s.do(http.MethodGet, "_/activations/"+part, "").is(http.StatusOK).body), &record))
		parts = append(parts, record)
	}
	return whole, parts
}
