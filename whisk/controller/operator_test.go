package controller_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/controller"
)

func TestOperatorTakesTheNodeOffDuty(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *controller.Config) { c.Operator = whisk.Key{UUID: "admin", Secret: "word"} })
	operator := func(req *http.Request) { req.SetBasicAuth("admin", "word") }
	s.action("a", "echo it")
	s.put("_/triggers/t", `{}`)
	s.put("_/rules/r", `{"trigger":"/_/t","action":"/_/a"}`)

	s.do(http.MethodPost, "/disable", "").refused(http.StatusUnauthorized, "username or password are wrong.")
	s.do(http.MethodPost, "/disable", "", anonymous).refused(http.StatusUnauthorized, "The resource requires authentication, which was not supplied with the request")
	s.do(http.MethodPost, "_/actions/a?blocking=true", "").is(http.StatusOK)

	assert.Equal(t, "controller is disabled", s.do(http.MethodPost, "/disable", "", operator).is(http.StatusOK).body)
	for _, path := range []string{"_/actions/a", "_/actions/a?blocking=true", "_/triggers/t"} {
		s.do(http.MethodPost, path, "").refused(http.StatusServiceUnavailable, "The controller is disabled.")
	}
	s.do(http.MethodGet, "_/actions/a", "").is(http.StatusOK)
	s.do(http.MethodGet, "/invokers", "").says(`{"0":"down"}`)
	s.do(http.MethodGet, "/invokers/healthy/count", "").says(`0`)
	s.do(http.MethodGet, "/invokers/ready", "").is(http.StatusInternalServerError).says(`{"unhealthy":"1/1"}`)

	assert.Equal(t, "controller is enabled", s.do(http.MethodPost, "/enable", "", operator).is(http.StatusOK).body)
	s.do(http.MethodGet, "/invokers/ready", "").is(http.StatusOK).says(`{"healthy":"1/1"}`)
	s.do(http.MethodPost, "_/triggers/t", "").is(http.StatusAccepted)
}

func TestWithoutAnOperator(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/disable", "/enable"} {
		s.do(http.MethodPost, path, "", func(req *http.Request) { req.SetBasicAuth("", "") }).is(http.StatusUnauthorized)
	}
}
