package controller_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/entitlement"
)

func TestTriggerLifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/triggers/t", `{"name":"t","parameters":[{"key":"a","value":1}],"annotations":[{"key":"b","value":"c"}]}`).says(
		`{"namespace":"guest","name":"t","version":"0.0.1","publish":false,"updated":"…","annotations":[{"key":"b","value":"c"}],"parameters":[{"key":"a","value":1}],"limits":{},"rules":{}}`)
	s.action("a", "echo it")
	s.put("_/rules/r", `{"name":"r","status":"","trigger":"/_/t","action":"/_/a"}`).says(
		`{"namespace":"guest","name":"r","version":"0.0.1","publish":false,"updated":"…","annotations":[],"status":"active","trigger":{"path":"guest","name":"t"},"action":{"path":"guest","name":"a"}}`)
	const rules = `{"guest/r":{"action":{"path":"guest","name":"a"},"status":"active"}}`
	assert.JSONEq(t, rules, s.do(http.MethodGet, "_/triggers/t", "").is(http.StatusOK).field("rules"))
	assert.JSONEq(t, rules, s.put("_/triggers/t?overwrite=true", `{"parameters":[]}`).field("rules"))
	s.do(http.MethodPut, "_/triggers/t", `{}`).refused(http.StatusConflict, "resource already exists")
	s.do(http.MethodGet, "_/triggers", "").is(http.StatusOK).says(`[{"namespace":"guest","name":"t","version":"0.0.2","publish":false,"updated":"…","annotations":[{"key":"b","value":"c"}]}]`)
	s.do(http.MethodPut, "_/triggers/f", `{"annotations":[{"key":"feed","value":"a b/ c"}]}`).refused(http.StatusBadRequest, "Feed name is not valid")
	s.do(http.MethodGet, "_/triggers/a", "").refused(http.StatusConflict, "Resource by this name exists but is not in this collection.")

	s.do(http.MethodDelete, "_/triggers/t", "").is(http.StatusOK)
	assert.Equal(t, "inactive", s.do(http.MethodGet, "_/rules/r", "").is(http.StatusOK).field("status"), "of a rule without its trigger")
	s.do(http.MethodPost, "_/rules/r", `{"status":"active"}`).refused(http.StatusNotFound, "Only rules with existing triggers can be activated")
}

func TestRuleLifecycle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/triggers/t", `{}`)
	s.put("_/triggers/u", `{}`)
	s.put("_/packages/p", `{}`)
	s.action("p/a", "echo it")
	s.put("_/rules/r", `{"trigger":{"path":"_","name":"t"},"action":{"path":"_/p","name":"a"}}`)
	for _, c := range []struct{ name, path, body, want string }{
		{"no trigger", "s", `{"trigger":"/_/none","action":"/_/p/a"}`, "trigger /guest/none does not exist"},
		{"no action", "s", `{"trigger":"/_/t","action":"/_/none"}`, "action /guest/none does not exist"},
		{"no package", "s", `{"trigger":"/_/t","action":"/_/none/a"}`, "action /guest/none/a does not exist"},
		{"neither", "s", `{}`, "rule requires a valid trigger and a valid action"},
	} {
		s.do(http.MethodPut, "_/rules/"+c.path, c.body).refused(http.StatusBadRequest, c.want)
	}
	s.do(http.MethodGet, "_/rules", "").is(http.StatusOK).says(
		`[{"namespace":"guest","name":"r","version":"0.0.1","publish":false,"updated":"…","annotations":[],"trigger":{"path":"guest","name":"t"},"action":{"path":"guest/p","name":"a"}}]`)

	got := s.do(http.MethodPost, "_/rules/r", `{"name":"r","status":"inactive","trigger":null,"action":null}`).is(http.StatusOK)
	assert.Equal(t, "OK", got.body)
	s.do(http.MethodPost, "_/rules/r", `{"status":"inactive"}`).is(http.StatusOK)
	assert.Equal(t, "inactive", s.do(http.MethodGet, "_/rules/r", "").field("status"))
	updated := s.put("_/rules/r?overwrite=true", `{"trigger":"/_/u"}`)
	assert.Equal(t, "inactive", updated.field("status"), "an update keeps it")
	assert.Equal(t, "{}", s.do(http.MethodGet, "_/triggers/t", "").field("rules"), "of the trigger that it was")
	s.do(http.MethodPost, "_/rules/r", `{}`).is(http.StatusBadRequest)
	s.do(http.MethodPost, "_/rules/none", `{"status":"active"}`).refused(http.StatusNotFound, "The requested resource does not exist.")

	s.do(http.MethodPost, "_/rules/r", `{"status":"active"}`).is(http.StatusOK)
	assert.Equal(t, "inactive", s.do(http.MethodDelete, "_/rules/r", "").is(http.StatusOK).field("status"))
}

func TestFire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.put("_/triggers/t", `{"parameters":[{"key":"a","value":1},{"key":"b","value":1}]}`)
	none := s.do(http.MethodPost, "_/triggers/t", `{"x":1}`).is(http.StatusNoContent)
	assert.Empty(t, none.body)
	for _, name := range []string{"gone", "works", "sleeps"} {
		s.action(name, "echo it")
		s.put("_/rules/r-"+name, `{"trigger":"/_/t","action":"/_/`+name+`"}`)
	}
	s.do(http.MethodPost, "_/rules/r-sleeps", `{"status":"inactive"}`).is(http.StatusOK)
	s.do(http.MethodDelete, "_/actions/gone", "").is(http.StatusOK)

	fired := s.do(http.MethodPost, "_/triggers/t", `{"b":2}`).is(http.StatusAccepted)
	id := fired.field("activationId")
	assert.Equal(t, id, fired.header.Get("X-Openwhisk-Activation-Id"))
	record := s.do(http.MethodGet, "_/activations/"+id, "").is(http.StatusOK)
	record.says(`{"namespace":"guest","name":"t","version":"0.0.1","subject":"guest","activationId":"…","start":"…","publish":false,"annotations":[],
		"response":{"result":{"b":2},"size":7,"status":"success","success":true},"logs":["…","…","…"]}`)
	var got struct{ Logs []string }
	require.NoError(t, json.Unmarshal([]byte(record.body), &got))
	assert.Equal(t, `{"statusCode":1,"success":false,"rule":"guest/r-gone","action":"guest/gone","error":"The requested resource does not exist."}`, got.Logs[0])
	assert.Equal(t, `{"statusCode":1,"success":false,"rule":"guest/r-sleeps","action":"guest/sleeps","error":"Rule 'guest/r-sleeps' is inactive, action 'guest/sleeps' was not activated."}`, got.Logs[1])
	assert.Regexp(t, `^{"statusCode":0,"success":true,"activationId":"[0-9a-f]{32}","rule":"guest/r-works","action":"guest/works"}$`, got.Logs[2])
	require.Len(t, s.guests.invocations, 1)
	assert.JSONEq(t, `{"a":1,"b":2}`, string(s.guests.invocations[0].Arguments))

	s.do(http.MethodPost, "_/triggers/none", ``).refused(http.StatusNotFound, "The requested resource does not exist.")
	s.do(http.MethodPost, "_/triggers/t", `[1]`).refused(http.StatusBadRequest, "The request content was malformed:\nObject expected")
}

func TestFiresAreThrottled(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.Rates = entitlement.Rates{FiresPerMinute: 1, InvocationsPerMinute: 1} })
	inOneMinute()
	s.put("_/triggers/t", `{}`)
	s.action("a", "echo it")
	s.put("_/rules/one", `{"trigger":"/_/t","action":"/_/a"}`)
	s.put("_/rules/two", `{"trigger":"/_/t","action":"/_/a"}`)
	id := s.do(http.MethodPost, "_/triggers/t", ``).is(http.StatusAccepted).field("activationId")
	assert.Contains(t, s.do(http.MethodGet, "_/activations/"+id+"/logs", "").body, "Too many requests in the last minute (count: 2, allowed: 1).")
	s.do(http.MethodPost, "_/triggers/t", ``).refused(http.StatusTooManyRequests, "Too many requests in the last minute (count: 2, allowed: 1).")
}
