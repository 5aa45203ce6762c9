package storetest

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func testReopen(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := openAt(t, h, dir)
	a, r, key := action("guest", "a", 1, "code"), record("guest", "a", 1), whisk.NewKey()
	rev := put(t, s, a, 0)
	appended(t, s, r)
	require.NoError(t, s.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, s.SetKey(t.Context(), "guest", "guest", key))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "Close again")

	s = openAt(t, h, dir)
	wantAll(t, s, a, rev, r, key)
}

func wantAll(t *testing.T, s store.Store, a *whisk.Action, rev store.Revision, r *whisk.Activation, key whisk.Key) {
	t.Helper()
	got, at, err := s.Find(t.Context(), a.FullName())
	require.NoError(t, err)
	assert.Equal(t, read(a), got)
	assert.Equal(t, rev, at)
	code, err := s.ReadCode(t.Context(), a.Exec.Digest)
	require.NoError(t, err)
	assert.Equal(t, a.Exec.Code, code)
	recorded, err := s.Activation(t.Context(), r.Namespace, r.ID)
	require.NoError(t, err)
	assert.Equal(t, r, recorded)
	_, err = s.Authenticate(t.Context(), key)
	assert.NoError(t, err)
}

func testOneProcess(t *testing.T, h Harness) {
	dir := t.TempDir()
	s := openAt(t, h, dir)
	_, err := h.Open(dir)
	assert.ErrorIs(t, err, store.ErrInUse, "Open of what is open")
	require.NoError(t, s.Close())
	openAt(t, h, dir)
}

func testClosed(t *testing.T, h Harness) {
	s := open(t, h)
	put(t, s, pack("guest", "p", 1), 0)
	_, _, err := s.Find(t.Context(), named("guest", "p"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, _, err = s.Find(t.Context(), named("guest", "p"))
	assert.Error(t, err, "Find after Close")
	_, err = s.Put(t.Context(), pack("guest", "q", 1), 0)
	assert.Error(t, err, "Put after Close")
	assert.Error(t, s.Append(t.Context(), record("guest", "a", 1)), "Append after Close")
	assert.Error(t, s.Accept(t.Context(), promise(`{}`)), "Accept after Close")
	_, err = s.List(t.Context(), store.Query{Kind: whisk.PackageEntity, Path: "guest"})
	assert.Error(t, err, "List after Close")
	for _, err := range s.Pending(t.Context()) {
		assert.Error(t, err, "Pending after Close")
	}
}

func testBackup(t *testing.T, h Harness) {
	s := open(t, h)
	a, r, key := action("guest", "a", 1, "code"), record("guest", "a", 1), whisk.NewKey()
	rev := put(t, s, a, 0)
	appended(t, s, r)
	require.NoError(t, s.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, s.SetKey(t.Context(), "guest", "guest", key))

	file := filepath.Join(t.TempDir(), "backup")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // goes on writing meanwhile
		for {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, s.Append(t.Context(), record("guest", "b", 2)))
			}
		}
	})
	err := s.Backup(t.Context(), file)
	close(stop)
	wg.Wait()
	require.NoError(t, err, "Backup")
	assert.Error(t, s.Backup(t.Context(), file), "Backup to a file that is there")

	copied, err := h.OpenBackup(t.TempDir(), file)
	require.NoError(t, err)
	defer copied.Close()
	wantAll(t, copied, a, rev, r, key)
}

var errInjected = errors.New("no space left, says the test")

// failAt fails the n-th write from now on, counted from 1.
type failAt struct{ left atomic.Int64 }

func (f *failAt) fail() error {
	if f.left.Add(-1) == 0 {
		return errInjected
	}
	return nil
}

// change is something that is written to a store which furnish has filled.
type change func(*testing.T, store.Store) error

func changes() map[string]change {
	return map[string]change{
		"create": func(t *testing.T, s store.Store) error {
			_, err := s.Put(t.Context(), action("guest", "new", 1, "new code"), 0)
			return err
		},
		"update": func(t *testing.T, s store.Store) error {
			_, rev, err := s.Find(t.Context(), named("guest", "old"))
			require.NoError(t, err)
			_, err = s.Put(t.Context(), action("guest", "old", 2, "new code"), rev)
			return err
		},
		"delete": func(t *testing.T, s store.Store) error {
			_, rev, err := s.Find(t.Context(), named("guest", "t"))
			require.NoError(t, err)
			return s.Delete(t.Context(), named("guest", "t"), rev)
		},
		"append": func(t *testing.T, s store.Store) error {
			return s.Append(t.Context(), record("guest", "a", 1), record("guest", "b", 2))
		},
		"accept": func(t *testing.T, s store.Store) error {
			return s.Accept(t.Context(), promise(`{}`), promise(`{}`))
		},
		"keep": func(t *testing.T, s store.Store) error {
			kept := record("guest", "a", 1)
			kept.ID = pending(t, s)[0].ID
			return s.Append(t.Context(), kept)
		},
		"key": func(t *testing.T, s store.Store) error {
			return s.SetKey(t.Context(), "guest", "guest", whisk.NewKey())
		},
	}
}

func testFailingWrites(t *testing.T, h Harness) {
	for what, change := range changes() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			change.failEachWrite(t, h)
		})
	}
}

// failEachWrite lets each write of a change fail in turn: what failed has not
// happened, and what comes next works.
func (c change) failEachWrite(t *testing.T, h Harness) {
	var faults failAt
	s, err := h.OpenFailing(t.TempDir(), faults.fail)
	require.NoError(t, err)
	defer s.Close()
	furnish(t, s)
	before := contents(t, s)
	n := int64(1)
	for ; ; n++ {
		faults.left.Store(n)
		err := c(t, s)
		if faults.left.Swap(0) > 0 { // it did not get that far
			require.NoError(t, err, "without a fault")
			break
		}
		require.ErrorIs(t, err, errInjected, "with a fault at write %d", n)
		assert.Equal(t, before, contents(t, s), "after a fault at write %d", n)
	}
	assert.Greater(t, n, int64(2), "writes")
	assert.NotEqual(t, before, contents(t, s), "after the change")
}

func furnish(t *testing.T, s store.Store) {
	t.Helper()
	put(t, s, action("guest", "old", 1, "old code"), 0)
	put(t, s, trigger("guest", "t", 1), 0)
	put(t, s, rule("guest", "r", "t", "old"), 0)
	require.NoError(t, s.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, s.Accept(t.Context(), promise(`{}`)))
}

// contents is what a change may change, read anew.
func contents(t *testing.T, s store.Store) []any {
	t.Helper()
	var all []any
	for _, kind := range []whisk.EntityKind{whisk.ActionEntity, whisk.TriggerEntity, whisk.RuleEntity} {
		list, err := s.List(t.Context(), store.Query{Kind: kind, Path: "guest"})
		require.NoError(t, err)
		for _, e := range list {
			found, _, err := s.Find(t.Context(), e.FullName())
			require.NoError(t, err)
			assert.Equal(t, e, found)
			all = append(all, e)
		}
	}
	for _, code := range []string{"old code", "new code"} {
		_, err := s.ReadCode(t.Context(), whisk.DigestOf([]byte(code)))
		all = append(all, code, errors.Is(err, store.ErrNotFound))
	}
	n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	guest, err := s.Subject(t.Context(), "guest")
	require.NoError(t, err)
	return append(all, n, len(pending(t, s)), guest)
}

// testFailingBatch: of callers who write together, a fault is one's alone.
func testFailingBatch(t *testing.T, h Harness) {
	var faults failAt
	s, err := h.OpenFailing(t.TempDir(), faults.fail)
	require.NoError(t, err)
	defer s.Close()
	faults.left.Store(100)
	var failed, stored atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				a := record("guest", "a", 1)
				err := s.Append(t.Context(), a)
				_, missing := s.Activation(t.Context(), "guest", a.ID)
				if err != nil {
					failed.Add(1)
					assert.ErrorIs(t, missing, store.ErrNotFound, "what failed is not there")
					continue
				}
				stored.Add(1)
				assert.NoError(t, missing, "what was answered is there")
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, failed.Load(), int64(1), "callers who saw the fault")
	n, err := s.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	assert.EqualValues(t, stored.Load(), n)
}
