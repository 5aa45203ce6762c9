package fetch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		brief, cancelBrief := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancelBrief()
		for _, tc := range []struct {
			name string
			ctx  context.Context
			req  Request
			want string
		}{
			{"only a URL", t.Context(), Request{URL: "http://a"}, `{"url":"http://a"}`},
			{
				"everything", ctx,
				Request{"PUT", "http://a", map[string][]string{"A": {"b", "c"}}, []byte("x")},
				`{"method":"PUT","url":"http://a","headers":{"A":["b","c"]},"timeout_ms":1500}`,
			},
			{"hardly any time", brief, Request{URL: "http://a"}, `{"url":"http://a","timeout_ms":1}`},
		} {
			got, err := tc.req.encode(tc.ctx)
			require.NoError(t, err, tc.name)
			assert.Equal(t, tc.want, string(got), tc.name)
		}
	})
}

func TestDecodeHead(t *testing.T) {
	t.Parallel()
	head, err := decodeHead([]byte(`{"status":204,"headers":{"Content-Type":["text/plain"]}}`))
	require.NoError(t, err)
	assert.Equal(t, wireHead{204, map[string][]string{"Content-Type": {"text/plain"}}}, head)
	_, err = decodeHead([]byte("204"))
	assert.ErrorContains(t, err, "fetch: header of the response: ")
}
