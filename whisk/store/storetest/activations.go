package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func appended(t testing.TB, s store.Activations, records ...*whisk.Activation) {
	t.Helper()
	require.NoError(t, s.Append(t.Context(), records...), "Append")
}

func testActivations(t *testing.T, h Harness) {
	s := open(t, h)
	full := record("guest", "add", 1690000000000)
	full.Cause, full.Publish = whisk.NewActivationID(), true
	fired := record("guest", "t", 1690000000001)
	fired.End, fired.Duration, fired.Annotations = 0, nil, whisk.Parameters{}
	empty := record("guest", "void", 1690000000002)
	empty.Response, empty.Logs = whisk.Response{}, []string{}
	null := record("guest", "null", 1690000000003) // which is a result, and not none
	null.Response.Result = []byte("null")
	appended(t, s, full, fired, empty, null)
	for _, a := range []*whisk.Activation{full, fired, empty, null} {
		got, err := s.Activation(t.Context(), "guest", a.ID)
		require.NoError(t, err)
		assert.Equal(t, a, got, "Activation(%s)", a.ID)
	}
	summaries, err := s.ListSummaries(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	assert.Equal(t, []*whisk.ActivationSummary{null.Summary(), empty.Summary(), fired.Summary(), full.Summary()}, summaries)

	again := *full
	again.Name = "changed"
	appended(t, s, &again)
	got, err := s.Activation(t.Context(), "guest", full.ID)
	require.NoError(t, err)
	assert.Equal(t, full, got, "the first record of an id stays")
}

func testActivationFaults(t *testing.T, h Harness) {
	s := open(t, h)
	kept := record("guest", "add", 1)
	appended(t, s, kept)
	_, err := s.Activation(t.Context(), "other", kept.ID)
	assert.ErrorIs(t, err, store.ErrNotFound, "Activation of another namespace")
	_, err = s.Activation(t.Context(), "guest", whisk.NewActivationID())
	assert.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.Activation(t.Context(), "guest", "no id")
	assert.ErrorIs(t, err, store.ErrNotFound)

	bad := record("guest", "bad", 1)
	bad.ID = "xyz"
	assert.Error(t, s.Append(t.Context(), record("guest", "bad", 1), bad), "Append of an id that is none")
	n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	assert.Equal(t, 1, n, "after an append that failed")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.ListActivations(ended, store.ActivationQuery{Namespace: "guest"})
	assert.ErrorIs(t, err, context.Canceled, "ListActivations with a context that has ended")
}

func testActivationLists(t *testing.T, h Harness) {
	s := open(t, h)
	// Appended in another order than that of their starts; two at once.
	starts := []int{50, 10, 40, 20, 20, 30}
	for i, start := range starts {
		appended(t, s, record("guest", fmt.Sprintf("a%d", i), start), record("other", "b", start))
	}
	for _, c := range []struct {
		q     store.ActivationQuery
		want  string
		count int
	}{
		{store.ActivationQuery{}, "a0 a2 a5 a4 a3 a1", 6},
		{store.ActivationQuery{Page: store.Page{Limit: 2}}, "a0 a2", 6},
		{store.ActivationQuery{Page: store.Page{Skip: 4, Limit: 10}}, "a3 a1", 2},
		{store.ActivationQuery{Page: store.Page{Skip: 7}}, "", 0},
		{store.ActivationQuery{Since: 20}, "a0 a2 a5 a4 a3", 5},
		{store.ActivationQuery{Upto: 20}, "a4 a3 a1", 3},
		{store.ActivationQuery{Since: 20, Upto: 40}, "a2 a5 a4 a3", 4},
		{store.ActivationQuery{Since: 20, Upto: 40, Page: store.Page{Skip: 1, Limit: 2}}, "a5 a4", 3},
		{store.ActivationQuery{Since: 51}, "", 0},
		{store.ActivationQuery{Since: 1 << 62}, "", 0},
		{store.ActivationQuery{Since: -1, Upto: 1 << 62}, "a0 a2 a5 a4 a3 a1", 6},
	} {
		c.q.Namespace = "guest"
		list, err := s.ListActivations(t.Context(), c.q)
		require.NoError(t, err)
		summaries, err := s.ListSummaries(t.Context(), c.q)
		require.NoError(t, err)
		var got []string
		require.Len(t, summaries, len(list))
		for i, a := range list {
			assert.Equal(t, a.Summary(), summaries[i])
			got = append(got, string(a.Name))
		}
		assert.Equal(t, c.want, strings.Join(got, " "), "ListActivations(%+v)", c.q)
		n, err := s.CountActivations(t.Context(), c.q)
		require.NoError(t, err)
		assert.Equal(t, c.count, n, "CountActivations(%+v)", c.q)
	}
}

func testActivationNames(t *testing.T, h Harness) {
	s := open(t, h)
	plain, packaged, bound := record("guest", "add", 1), record("guest", "add", 2), record("guest", "add", 3)
	packaged.Annotations = packaged.Annotations.With("path", "guest/pkg/add")
	bound.Annotations = bound.Annotations.With("path", "other/base/add").With("binding", "guest/bound")
	appended(t, s, plain, packaged, bound)
	for name, want := range map[string]*whisk.Activation{"add": plain, "pkg/add": packaged, "bound/add": bound, "base/add": nil} {
		list, err := s.ListActivations(t.Context(), store.ActivationQuery{Namespace: "guest", Name: name})
		require.NoError(t, err)
		if want == nil {
			assert.Empty(t, list, "of name %q", name)
			continue
		}
		assert.Equal(t, []*whisk.Activation{want}, list, "of name %q", name)
	}
	n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest", Name: "add"})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}

func testConcurrentAppends(t *testing.T, h Harness) {
	const callers, each = 32, 20
	s := open(t, h)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				a := record("guest", fmt.Sprintf("a%d", i), 7) // all in one millisecond
				assert.NoError(t, s.Append(t.Context(), a))
				got, err := s.Activation(t.Context(), "guest", a.ID)
				assert.NoError(t, err, "Activation after Append")
				assert.Equal(t, a, got)
			}
		})
	}
	wg.Wait()
	n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	assert.Equal(t, callers*each, n)
}

func testRetention(t *testing.T, h Harness) {
	s := open(t, h)
	for _, keep := range []struct {
		what string
		store.Retention
		removed, left int
	}{
		{"all", store.Retention{}, 0, 3000},
		{"since", store.Retention{Since: 1001}, 1000, 2000},
		{"count", store.Retention{Count: 500}, 1500, 500},
		{"count of more than there are", store.Retention{Count: 5000}, 0, 500},
		{"both", store.Retention{Since: 2901, Count: 400}, 400, 100},
	} {
		if keep.what == "all" {
			var records []*whisk.Activation
			for i := range 3000 {
				records = append(records, record("guest", "a", 3000-i))
			}
			appended(t, s, records...)
		}
		removed, err := s.Retain(t.Context(), keep.Retention)
		require.NoError(t, err)
		assert.Equal(t, keep.removed, removed, "Retain %s", keep.what)
		n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
		require.NoError(t, err)
		assert.Equal(t, keep.left, n, "left after Retain %s", keep.what)
	}
	last, err := s.ListSummaries(t.Context(), store.ActivationQuery{Namespace: "guest", Page: store.Page{Skip: 99}})
	require.NoError(t, err)
	require.Len(t, last, 1)
	assert.EqualValues(t, 2901, last[0].Start, "start of the oldest record that is left")
}

func promise(arguments string) *store.Promise {
	return &store.Promise{
		ID: whisk.NewActivationID(), Subject: "guest", Namespace: "guest", Action: named("other/pkg", "add"), Version: whisk.FirstVersion(),
		Accepted: time.UnixMilli(1690000000000).UTC(), Arguments: []byte(arguments),
		Annotations: whisk.Parameters{}.With("binding", "guest/bound"), Transaction: "tid",
	}
}

func pending(t testing.TB, s store.Journal) []*store.Promise {
	t.Helper()
	list := []*store.Promise{}
	for p, err := range s.Pending(t.Context()) {
		require.NoError(t, err, "Pending")
		list = append(list, p)
	}
	return list
}

func testPromises(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := openAt(t, h, dir)
	first, second, begun := promise(`{"a":1}`), promise(`{}`), promise(`{}`)
	begun.Begun, begun.Cause = true, whisk.NewActivationID()
	require.NoError(t, s.Accept(t.Context(), first, second))
	require.NoError(t, s.Accept(t.Context(), begun))
	require.NoError(t, s.Accept(t.Context(), begun), "Accept again")
	assert.Equal(t, []*store.Promise{first, second, begun}, pending(t, s))

	require.NoError(t, s.Close())
	s = openAt(t, h, dir)
	assert.Equal(t, []*store.Promise{first, second, begun}, pending(t, s), "after reopening")

	kept := record("guest", "add", 1)
	kept.ID = first.ID
	appended(t, s, kept)
	assert.Equal(t, []*store.Promise{second, begun}, pending(t, s), "after a promise was kept")
	require.NoError(t, s.Accept(t.Context(), first), "Accept of what was recorded before")
	assert.Equal(t, []*store.Promise{second, begun}, pending(t, s))
}

func testManyPromises(t *testing.T, h Harness) {
	s := open(t, h)
	const many = 300
	for range many {
		require.NoError(t, s.Accept(t.Context(), promise(`{}`)))
	}
	seen := 0
	for p, err := range s.Pending(t.Context()) { // what is read may end meanwhile
		require.NoError(t, err)
		a := record("guest", "add", 1)
		a.ID = p.ID
		appended(t, s, a)
		seen++
	}
	assert.Equal(t, many, seen)
	assert.Empty(t, pending(t, s))
}
