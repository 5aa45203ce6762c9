package controller_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestHammer has many callers change and ask for the same few things: whatever
// the order, nothing is the platform's fault, and nobody waits for ever.
func TestHammer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.action("stays", "echo it")
	calls := []struct{ method, path, body string }{
		{http.MethodPut, "_/packages/p?overwrite=true", `{}`},
		{http.MethodPut, "_/packages/b?overwrite=true", `{"binding":{"namespace":"_","name":"p"}}`},
		{http.MethodPut, "_/actions/a?overwrite=true", `{"exec":{"kind":"wasm:0.1","code":"one of two"}}`},
		{http.MethodPut, "_/actions/a?overwrite=true", `{"exec":{"kind":"wasm:0.1","code":"two of two"}}`},
		{http.MethodPut, "_/actions/p/a", `{"exec":{"kind":"wasm:0.1","code":"one of two"}}`},
		{http.MethodPut, "_/actions/s?overwrite=true", `{"exec":{"kind":"sequence","components":["/_/stays","/_/a"]}}`},
		{http.MethodPut, "_/actions/a?overwrite=true", `{"exec":{"kind":"sequence","components":["/_/s"]}}`},
		{http.MethodPut, "_/triggers/t?overwrite=true", `{}`},
		{http.MethodPut, "_/rules/r?overwrite=true", `{"trigger":"/_/t","action":"/_/stays"}`},
		{http.MethodPost, "_/rules/r", `{"status":"inactive"}`},
		{http.MethodPost, "_/rules/r", `{"status":"active"}`},
		{http.MethodPost, "_/triggers/t", ``},
		{http.MethodPost, "_/actions/stays?blocking=true", ``},
		{http.MethodGet, "_/actions/a", ``},
		{http.MethodGet, "_/actions/b/a", ``},
		{http.MethodGet, "_/packages/b", ``},
		{http.MethodGet, "_/actions", ``},
		{http.MethodDelete, "_/actions/a", ``},
		{http.MethodDelete, "_/packages/p?force=true", ``},
		{http.MethodDelete, "_/triggers/t", ``},
		{http.MethodDelete, "_/rules/r", ``},
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 60 {
				c := calls[rand.IntN(len(calls))]
				got := s.do(c.method, c.path, c.body)
				assert.Less(t, got.status, http.StatusInternalServerError, "%s: %s", got.call, got.body)
			}
		})
	}
	callers.Wait()
}
