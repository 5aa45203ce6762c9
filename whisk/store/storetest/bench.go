package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// Benchmark runs the benchmarks. Those of many records fill the store first,
// which takes a while; in short mode it has fewer.
func Benchmark(b *testing.B, h Harness) {
	records := 1_000_000
	if testing.Short() {
		records = 10_000
	}
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("append/callers=%d", callers), func(b *testing.B) { benchmarkAppend(b, h, callers) })
	}
	b.Run(fmt.Sprintf("list/200 of %d", records), func(b *testing.B) { benchmarkList(b, h, records) })
	b.Run("open/10000 actions", func(b *testing.B) { benchmarkOpen(b, h, 10_000) })
	b.Run("find", func(b *testing.B) { benchmarkFind(b, h) })
	b.Run("authenticate", func(b *testing.B) { benchmarkAuthenticate(b, h) })
}

// benchmarkAppend has callers append as an invoker does: one record each, and
// the next when it is durable.
func benchmarkAppend(b *testing.B, h Harness, callers int) {
	s := open(b, h)
	appended(b, s, record("guest", "warm", 1))
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := s.Append(b.Context(), record("guest", "a", int(i/10))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

const firstStart = 1690000000000

func fill(b *testing.B, s store.Activations, records int) {
	b.Helper()
	for i := 0; i < records; {
		batch := make([]*whisk.Activation, 0, 10_000)
		for ; i < records && len(batch) < cap(batch); i++ {
			batch = append(batch, record("guest", fmt.Sprintf("a%d", i%100), firstStart+i))
		}
		appended(b, s, batch...)
	}
}

func benchmarkList(b *testing.B, h Harness, records int) {
	s := open(b, h)
	fill(b, s, records)
	page := store.Page{Limit: 200}
	at := func(i int) whisk.Timestamp { return whisk.Timestamp(firstStart + i) }
	for name, q := range map[string]store.ActivationQuery{
		"last":    {Namespace: "guest", Page: page},
		"by name": {Namespace: "guest", Name: "a7", Page: store.Page{Limit: 100}},
		"range":   {Namespace: "guest", Since: at(records / 10), Upto: at(records / 5), Page: page},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				list, err := s.ListSummaries(b.Context(), q)
				require.NoError(b, err)
				require.Len(b, list, q.Limit)
			}
		})
	}
	b.Run("docs", func(b *testing.B) {
		for b.Loop() {
			list, err := s.ListActivations(b.Context(), store.ActivationQuery{Namespace: "guest", Page: page})
			require.NoError(b, err)
			require.Len(b, list, 200)
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			n, err := s.CountActivations(b.Context(), store.ActivationQuery{Namespace: "guest"})
			require.NoError(b, err)
			require.Equal(b, records, n)
		}
	})
}

func benchmarkOpen(b *testing.B, h Harness, actions int) {
	dir := b.TempDir()
	s, err := h.Open(dir)
	require.NoError(b, err)
	require.NoError(b, s.Update(b.Context(), func(tx store.Entities) error {
		for i := range actions {
			put(b, tx, action("guest", fmt.Sprintf("a%d", i), i, fmt.Sprintf("code %d", i)), 0)
		}
		return nil
	}))
	require.NoError(b, s.Close())
	for b.Loop() {
		s, err := h.Open(dir)
		require.NoError(b, err)
		_, _, err = s.Find(b.Context(), named("guest", "a5000"))
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
}

func benchmarkFind(b *testing.B, h Harness) {
	s := open(b, h)
	put(b, s, action("guest", "a", 1, "x"), 0)
	for b.Loop() {
		_, _, err := s.Find(b.Context(), named("guest", "a"))
		require.NoError(b, err)
	}
}

func benchmarkAuthenticate(b *testing.B, h Harness) {
	s := open(b, h)
	require.NoError(b, s.CreateSubject(b.Context(), &store.Subject{Name: "guest"}))
	key := whisk.NewKey()
	require.NoError(b, s.SetKey(b.Context(), "guest", "guest", key))
	for b.Loop() {
		_, err := s.Authenticate(b.Context(), key)
		require.NoError(b, err)
	}
}
