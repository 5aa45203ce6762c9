package controller_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/wat"
	"wasmwhisk/whisk/controller"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/invoker"
)

// TestAFloodIsNoNeighboursConcern: while a namespace asks for far more than its
// limit, another has every one of its invocations.
func TestAFloodIsNoNeighboursConcern(t *testing.T) {
	t.Parallel()
	limited := func(c *controller.Config) {
		c.Rates = entitlement.Rates{InvocationsPerMinute: -1, ConcurrentInvocations: 1}
	}
	s := newServer(t, withInvoker(t), limited)
	wasm := header("Content-Type", "application/wasm")
	s.do(http.MethodPut, "_/actions/echo", echoModule(), wasm).is(http.StatusOK)
	s.do(http.MethodPut, "_/actions/echo", echoModule(), wasm, s.asOther).is(http.StatusOK)

	const invoke = "_/actions/echo?blocking=true&result=true"
	var stop atomic.Bool
	var flood sync.WaitGroup
	var served, refused atomic.Int64
	for range 4 {
		flood.Go(func() {
			for !stop.Load() || served.Load() == 0 || refused.Load() == 0 {
				switch got := s.do(http.MethodPost, invoke, `{"a":1}`); got.status {
				case http.StatusOK:
					served.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("%s: %d %s", got.call, got.status, got.body)
				}
			}
		})
	}
	for range 50 {
		got := s.do(http.MethodPost, invoke, `{"b":2}`, s.asOther)
		assert.Equal(t, http.StatusOK, got.status, "%s: %s", got.call, got.body)
	}
	stop.Store(true)
	flood.Wait()
}

// TestNamespacesTakeTurns: of two that have more to do than there is room for,
// one that came late and asks for little starts as often as the other, whatever
// that has waiting.
func TestNamespacesTakeTurns(t *testing.T) {
	t.Parallel()
	s := newServer(t, withCapacity(t, invoker.Capacity{Activations: 1}))
	asGuest := func(*http.Request) {}
	nap := func(times int, who func(*http.Request)) {
		s.do(http.MethodPut, "_/actions/nap", napModule(), header("Content-Type", "application/wasm"), who).is(http.StatusOK)
		for range times {
			s.do(http.MethodPost, "_/actions/nap", `{}`, who).is(http.StatusAccepted)
		}
	}
	const greedy, modest = 40, 5
	nap(greedy, asGuest)
	nap(modest, s.asOther)
	all := time.Now().UnixMilli() // have been asked for
	others := s.starts(modest, s.asOther)
	guests := s.starts(greedy, asGuest)
	for i, start := range others[1:] {
		if before := others[i]; before > all {
			between := slices.DeleteFunc(slices.Clone(guests), func(at int64) bool { return at < before || at > start })
			assert.LessOrEqual(t, len(between), 1, "activations of the greedy namespace between two of the other that wait")
		}
	}
}

// starts are those of somebody's activations once so many have ended, the first
// one first.
func (s *server) starts(n int, who func(*http.Request)) []int64 {
	s.t.Helper()
	var list []struct{ Start int64 }
	require.Eventually(s.t, func() bool {
		got := s.do(http.MethodGet, "_/activations?limit=200", "", who)
		return json.Unmarshal([]byte(got.body), &list) == nil && len(list) == n
	}, time.Minute, 5*time.Millisecond, "activations that have ended")
	starts := make([]int64, n)
	for i, a := range list {
		starts[n-1-i] = a.Start
	}
	return starts
}

// napModule answers with its input after 5 ms.
func napModule() string {
	return string(wat.Must(`(module
		(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 2)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64)
			(i32.store (i32.const 16) (i32.const 1)) ;; a clock, for 5 ms
			(i64.store (i32.const 24) (i64.const 5000000))
			(drop (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))
			(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))`))
}
