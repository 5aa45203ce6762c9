package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func testEntities(t *testing.T, h Harness) {
	s := open(t, h)
	a := action("guest/pkg", "add", 5, "\x00asm")
	a.Exec.Main = "main"
	sequence := &whisk.Action{Header: header("guest", "seq", 1), Parameters: whisk.Parameters{}, Limits: whisk.DefaultLimits()}
	sequence.Exec = whisk.Exec{Kind: whisk.KindSequence, Components: []whisk.FullyQualifiedName{a.FullName()}}
	bound := pack("guest", "bound", 1)
	bound.Binding = whisk.Binding{Namespace: "other", Name: "base"}
	for _, e := range []whisk.Entity{a, sequence, bound, pack("guest", "pkg", 1), trigger("guest", "t", 2), rule("guest", "r", "none", "add")} {
		rev := put(t, s, e, 0)
		assert.NotZero(t, rev, "Put(%s)", e.FullName())
		for range 2 { // a cache may answer the second time
			got, at, err := s.Find(t.Context(), e.FullName())
			require.NoError(t, err, "Find(%s)", e.FullName())
			want := e
			if a, ok := e.(*whisk.Action); ok {
				want = read(a)
			}
			assert.Equal(t, want, got, "Find(%s)", e.FullName())
			assert.Equal(t, rev, at, "revision of %s", e.FullName())
		}
		_, err := s.Put(t.Context(), e, 0)
		assert.ErrorIs(t, err, store.ErrExists, "Put(%s) again", e.FullName())
		require.NoError(t, s.Delete(t.Context(), e.FullName(), rev))
		_, _, err = s.Find(t.Context(), e.FullName())
		assert.ErrorIs(t, err, store.ErrNotFound, "Find(%s) after Delete", e.FullName())
		assert.ErrorIs(t, s.Delete(t.Context(), e.FullName(), rev), store.ErrNotFound, "Delete(%s) again", e.FullName())
	}
}

func testKinds(t *testing.T, h Harness) {
	s := open(t, h)
	put(t, s, pack("guest", "x", 1), 0)
	_, err := s.Put(t.Context(), trigger("guest", "x", 1), 0)
	assert.ErrorIs(t, err, store.ErrExists, "Put of a trigger where a package is")
	_, _, err = store.Get[*whisk.Action](t.Context(), s, named("guest", "x"))
	assert.ErrorIs(t, err, store.ErrOtherKind, "Get of an action where a package is")
	_, _, err = store.Get[*whisk.Package](t.Context(), s, named("guest", "x"))
	assert.NoError(t, err)
	_, _, err = store.Get[*whisk.Package](t.Context(), s, named("guest", "X"))
	assert.ErrorIs(t, err, store.ErrNotFound, "names have cases")
}

func testRevisions(t *testing.T, h Harness) {
	s := open(t, h)
	first := put(t, s, action("guest", "a", 1, "x"), 0)
	next := put(t, s, action("guest", "a", 2, "x"), first)
	assert.NotEqual(t, first, next)
	_, err := s.Put(t.Context(), action("guest", "a", 3, "x"), first)
	assert.ErrorIs(t, err, store.ErrConflict, "Put at an old revision")
	assert.ErrorIs(t, s.Delete(t.Context(), named("guest", "a"), first), store.ErrConflict, "Delete at an old revision")
	assert.ErrorIs(t, s.Delete(t.Context(), named("guest", "a"), 0), store.ErrConflict, "Delete at none")
	_, err = s.Put(t.Context(), action("guest", "b", 3, "x"), first)
	assert.ErrorIs(t, err, store.ErrNotFound, "Put in the place of nothing")
	a, rev, err := store.Get[*whisk.Action](t.Context(), s, named("guest", "a"))
	require.NoError(t, err)
	assert.Equal(t, next, rev)
	assert.Equal(t, whisk.Timestamp(2), a.Updated)
}

func testRevisionsNeverReturn(t *testing.T, h Harness) {
	s := open(t, h)
	old := put(t, s, pack("guest", "p", 1), 0)
	require.NoError(t, s.Delete(t.Context(), named("guest", "p"), old))
	again := put(t, s, pack("guest", "p", 1), 0)
	assert.NotEqual(t, old, again, "revision after delete and create")
	_, err := s.Put(t.Context(), pack("guest", "p", 2), old)
	assert.ErrorIs(t, err, store.ErrConflict)
}

func names[E whisk.Entity](list []E) string {
	var all []string
	for _, e := range list {
		all = append(all, e.FullName().ID())
	}
	return strings.Join(all, " ")
}

func testLists(t *testing.T, h Harness) {
	s := open(t, h)
	for i, path := range []string{"guest", "guest/p", "guest", "other", "guest/p", "guestbook"} {
		put(t, s, action(path, fmt.Sprintf("a%d", i), 10+i%4, "x"), 0)
	}
	put(t, s, pack("guest", "p", 1), 0)
	for _, c := range []struct {
		q     store.Query
		want  string
		count int
	}{
		{store.Query{Path: "guest"}, "guest/a2 guest/p/a1 guest/p/a4 guest/a0", 4},
		{store.Query{Path: "guest/p"}, "guest/p/a1 guest/p/a4", 2},
		{store.Query{Path: "guest", Page: store.Page{Limit: 2}}, "guest/a2 guest/p/a1", 4},
		{store.Query{Path: "guest", Page: store.Page{Skip: 1, Limit: 2}}, "guest/p/a1 guest/p/a4", 3},
		{store.Query{Path: "guest", Page: store.Page{Skip: 3}}, "guest/a0", 1},
		{store.Query{Path: "guest", Page: store.Page{Skip: 9, Limit: 2}}, "", 0},
		{store.Query{Path: "nobody"}, "", 0},
	} {
		list, err := store.List[*whisk.Action](t.Context(), s, c.q)
		require.NoError(t, err)
		assert.NotNil(t, list)
		assert.Equal(t, c.want, names(list), "List(%+v)", c.q)
		c.q.Kind = whisk.ActionEntity
		n, err := s.Count(t.Context(), c.q)
		require.NoError(t, err)
		assert.Equal(t, c.count, n, "Count(%+v)", c.q)
	}
	triggers, err := store.List[*whisk.Trigger](t.Context(), s, store.Query{Path: "guest"})
	require.NoError(t, err)
	assert.Empty(t, triggers, "List of triggers")
}

func testPublicLists(t *testing.T, h Harness) {
	s := open(t, h)
	private, published, bound := pack("guest", "private", 1), pack("guest", "published", 2), pack("guest", "bound", 3)
	published.Publish, bound.Publish = true, true
	bound.Binding = whisk.Binding{Namespace: "guest", Name: "published"}
	for _, p := range []*whisk.Package{private, published, bound} {
		put(t, s, p, 0)
	}
	q := store.Query{Path: "guest", Public: true}
	list, err := store.List[*whisk.Package](t.Context(), s, q)
	require.NoError(t, err)
	assert.Equal(t, "guest/published", names(list))
	q.Kind = whisk.PackageEntity
	n, err := s.Count(t.Context(), q)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}

func testTransactions(t *testing.T, h Harness) {
	s := open(t, h)
	rev := put(t, s, pack("guest", "p", 1), 0)
	undone := errors.New("undone")
	err := s.Update(t.Context(), func(tx store.Entities) error {
		put(t, tx, action("guest/p", "a", 1, "code of nobody"), 0)
		_, _, err := tx.Find(t.Context(), named("guest/p", "a"))
		require.NoError(t, err, "a transaction sees what it wrote")
		require.NoError(t, tx.Delete(t.Context(), named("guest", "p"), rev))
		n, err := tx.Count(t.Context(), store.Query{Kind: whisk.PackageEntity, Path: "guest"})
		require.NoError(t, err)
		assert.Zero(t, n)
		_, _, err = s.Find(t.Context(), named("guest/p", "a"))
		assert.ErrorIs(t, err, store.ErrNotFound, "others do not")
		return undone
	})
	assert.ErrorIs(t, err, undone)
	_, _, err = s.Find(t.Context(), named("guest", "p"))
	require.NoError(t, err, "after a transaction that failed")
	_, _, err = s.Find(t.Context(), named("guest/p", "a"))
	assert.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.ReadCode(t.Context(), whisk.DigestOf([]byte("code of nobody")))
	assert.ErrorIs(t, err, store.ErrNotFound)

	err = s.Update(t.Context(), func(tx store.Entities) error {
		put(t, tx, action("guest/p", "a", 1, "x"), 0)
		return tx.Delete(t.Context(), named("guest", "p"), rev)
	})
	require.NoError(t, err)
	_, _, err = s.Find(t.Context(), named("guest/p", "a"))
	assert.NoError(t, err)
}

func testRules(t *testing.T, h Harness) {
	s := open(t, h)
	rev := put(t, s, trigger("guest", "t", 1), 0)
	put(t, s, rule("guest", "r1", "t", "a"), 0)
	second := rule("guest", "r2", "t", "b")
	second.Status = whisk.RuleInactive
	r2 := put(t, s, second, 0)
	put(t, s, rule("guest", "r3", "other", "a"), 0)
	links := func() map[string]whisk.RuleLink {
		got, _, err := store.Get[*whisk.Trigger](t.Context(), s, named("guest", "t"))
		require.NoError(t, err)
		list, err := store.List[*whisk.Trigger](t.Context(), s, store.Query{Path: "guest"})
		require.NoError(t, err)
		assert.Equal(t, []*whisk.Trigger{got}, list)
		return got.Rules
	}
	assert.Equal(t, map[string]whisk.RuleLink{
		"guest/r1": {Action: named("guest", "a"), Status: whisk.RuleActive},
		"guest/r2": {Action: named("guest", "b"), Status: whisk.RuleInactive},
	}, links())

	second = rule("guest", "r2", "other", "b")
	put(t, s, second, r2)
	assert.NotContains(t, links(), "guest/r2", "after the rule went to another trigger")

	require.NoError(t, s.Delete(t.Context(), named("guest", "t"), rev))
	r1, _, err := store.Get[*whisk.Rule](t.Context(), s, named("guest", "r1"))
	require.NoError(t, err)
	assert.Equal(t, whisk.RuleInactive, r1.Status, "of a rule whose trigger is gone")
}

func testCode(t *testing.T, h Harness) {
	s := open(t, h)
	want := func(code string, there bool) {
		t.Helper()
		got, err := s.ReadCode(t.Context(), whisk.DigestOf([]byte(code)))
		if there {
			require.NoError(t, err, "ReadCode of %q", code)
			assert.Equal(t, code, string(got))
			return
		}
		assert.ErrorIs(t, err, store.ErrNotFound, "ReadCode of %q", code)
	}
	a := put(t, s, action("guest", "a", 1, "shared"), 0)
	b := put(t, s, action("guest", "b", 1, "shared"), 0)
	want("shared", true)
	require.NoError(t, s.Delete(t.Context(), named("guest", "b"), b))
	want("shared", true)

	stored, _, err := store.Get[*whisk.Action](t.Context(), s, named("guest", "a"))
	require.NoError(t, err)
	a = put(t, s, stored, a) // without code: what was there stays
	want("shared", true)
	a = put(t, s, action("guest", "a", 2, "new"), a)
	want("shared", false)
	want("new", true)
	_, err = s.Put(t.Context(), stored, a)
	assert.ErrorIs(t, err, store.ErrNotFound, "Put of an action whose code is gone")
	require.NoError(t, s.Delete(t.Context(), named("guest", "a"), a))
	want("new", false)

	put(t, s, action("guest", "empty", 1, ""), 0)
	want("", true)
}

func testConcurrentUpdates(t *testing.T, h Harness) {
	const writers, times = 8, 10
	s := open(t, h)
	counter := pack("guest", "counter", 0)
	put(t, s, counter, 0)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range times {
				assert.NoError(t, increment(t, s))
			}
		})
	}
	wg.Wait()
	got, _, err := s.Find(t.Context(), counter.FullName())
	require.NoError(t, err)
	assert.EqualValues(t, writers*times, got.Head().Updated, "increments that were not lost")
}

// increment counts in Updated, again until nobody was faster.
func increment(t *testing.T, s store.Entities) error {
	for {
		p, rev, err := store.Get[*whisk.Package](t.Context(), s, named("guest", "counter"))
		if err != nil {
			return err
		}
		_, err = s.Put(t.Context(), pack("guest", "counter", int(p.Updated)+1), rev)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// testReadersSeeWrites looks for a cache that keeps what is old: once a Put has
// returned, nobody reads what was before.
func testReadersSeeWrites(t *testing.T, h Harness) {
	s := open(t, h)
	name := named("guest", "a")
	rev := put(t, s, action("guest", "a", 0, "x"), 0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for last := whisk.Timestamp(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				e, _, err := s.Find(t.Context(), name)
				if !assert.NoError(t, err) || !assert.GreaterOrEqual(t, e.Head().Updated, last, "time went backwards") {
					return
				}
				last = e.Head().Updated
			}
		})
	}
	for i := 1; i <= 50; i++ {
		rev = put(t, s, action("guest", "a", i, "x"), rev)
		e, at, err := s.Find(t.Context(), name)
		require.NoError(t, err)
		assert.EqualValues(t, i, e.Head().Updated)
		assert.Equal(t, rev, at)
	}
	close(stop)
	wg.Wait()
}
