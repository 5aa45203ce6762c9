package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"wasmwhisk/eval/load"
)

// BenchmarkConstant is what a request costs against a server that does nothing,
// the floor of what can be measured, beside the client of net/http.
func BenchmarkConstant(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(constant))
	defer s.Close()
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("generator/clients=%d", clients), func(b *testing.B) {
			g, err := load.Start(b.Context(), []string{"env", "GENERATOR=1", "GORACE=atexit_sleep_ms=0", executable(b)})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			plan := load.Plan{Operations: []load.Operation{get(s.URL)}, Sequence: make([]int, b.N), Clients: clients}
			b.ResetTimer()
			res, err := g.Run(b.Context(), plan, nil)
			if err != nil || len(res.Samples) != b.N {
				b.Fatal(err)
			}
			b.ReportMetric(res.Busy*float64(res.Took.Nanoseconds())/float64(b.N), "busy-ns/op")
		})
	}
	b.Run("net/http/clients=1", func(b *testing.B) {
		for b.Loop() {
			res, err := http.Get(s.URL)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	})
}
