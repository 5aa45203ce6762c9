package controller_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/api-docs", "/api/v1/api-docs"} {
		assert.Equal(t, "3.0.3", s.do(http.MethodGet, path, "", anonymous).is(http.StatusOK).field("openapi"))
	}
}

func TestDocumentIsShown(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/docs", "/api/v1/docs"} {
		page := s.do(http.MethodGet, path, "", anonymous).is(http.StatusOK)
		assert.Equal(t, "text/html; charset=UTF-8", page.header.Get("Content-Type"))
		assert.Contains(t, page.body, `<a href="/api-docs">`)
		assert.Contains(t, page.body, "<h2>POST /api/v1/namespaces/{namespace}/actions/{package}/{name}</h2>")
		assert.Contains(t, page.body, "<dt>overwrite</dt>")
		assert.Contains(t, page.body, "<dt>404</dt>")
	}
}
