package storetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func testSubjects(t *testing.T, h Harness) {
	s := open(t, h)
	ten := 10
	alice := &store.Subject{Name: "alice", Limits: whisk.UserLimits{InvocationsPerMinute: &ten}, Namespaces: []store.Namespace{}}
	bob := &store.Subject{Name: "bob", Namespaces: []store.Namespace{}}
	for _, subject := range []*store.Subject{bob, alice} {
		require.NoError(t, s.CreateSubject(t.Context(), subject))
		assert.ErrorIs(t, s.CreateSubject(t.Context(), subject), store.ErrExists, "CreateSubject again")
	}
	list, err := s.ListSubjects(t.Context(), store.Page{})
	require.NoError(t, err)
	assert.Equal(t, []*store.Subject{alice, bob}, list)
	list, err = s.ListSubjects(t.Context(), store.Page{Skip: 1, Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, []*store.Subject{bob}, list)

	bob.Blocked = true
	require.NoError(t, s.UpdateSubject(t.Context(), bob))
	got, err := s.Subject(t.Context(), "bob")
	require.NoError(t, err)
	assert.Equal(t, bob, got)

	require.NoError(t, s.DeleteSubject(t.Context(), "bob"))
	_, err = s.Subject(t.Context(), "bob")
	assert.ErrorIs(t, err, store.ErrNotFound)
	assert.ErrorIs(t, s.DeleteSubject(t.Context(), "bob"), store.ErrNotFound)
	assert.ErrorIs(t, s.UpdateSubject(t.Context(), bob), store.ErrNotFound)
	assert.ErrorIs(t, s.SetKey(t.Context(), "bob", "bob", whisk.NewKey()), store.ErrNotFound)
}

func testGuest(t *testing.T, h Harness) {
	s := open(t, h)
	for range 2 {
		require.NoError(t, store.EnsureGuest(t.Context(), s))
		id, err := s.Authenticate(t.Context(), whisk.GuestKey())
		require.NoError(t, err)
		assert.Equal(t, whisk.EntityName("guest"), id.Namespace)
	}
	require.NoError(t, s.CreateSubject(t.Context(), &store.Subject{Name: "alice"}))
	require.NoError(t, s.DeleteSubject(t.Context(), "guest"))
	require.NoError(t, store.EnsureGuest(t.Context(), s))
	_, err := s.Authenticate(t.Context(), whisk.GuestKey())
	assert.ErrorIs(t, err, store.ErrNotFound, "where there are users, no guest is made")
}

func testKeys(t *testing.T, h Harness) {
	s := open(t, h)
	ten := 10
	alice := &store.Subject{Name: "alice", Limits: whisk.UserLimits{FiresPerMinute: &ten}}
	require.NoError(t, s.CreateSubject(t.Context(), alice))
	require.NoError(t, s.CreateSubject(t.Context(), &store.Subject{Name: "bob"}))
	key := whisk.NewKey()
	require.NoError(t, s.SetKey(t.Context(), "alice", "wonder", key))
	assert.ErrorIs(t, s.SetKey(t.Context(), "bob", "wonder", whisk.NewKey()), store.ErrExists, "SetKey of another's namespace")
	opens := func(key whisk.Key) {
		t.Helper()
		wantIdentity(t, s, key, &whisk.Identity{Subject: "alice", Namespace: "wonder", UUID: key.UUID, Limits: alice.Limits})
	}
	opens(key)
	wantRefusal(t, s, key.Renew(), store.ErrNotFound)
	wantRefusal(t, s, whisk.Key{UUID: key.UUID, Secret: "short"}, store.ErrNotFound)
	wantRefusal(t, s, whisk.NewKey(), store.ErrNotFound)

	alice.Blocked = true
	require.NoError(t, s.UpdateSubject(t.Context(), alice))
	wantRefusal(t, s, key, store.ErrBlocked)
	wantRefusal(t, s, key.Renew(), store.ErrNotFound)
	alice.Blocked = false
	require.NoError(t, s.UpdateSubject(t.Context(), alice))
	opens(key)

	renewed := key.Renew()
	require.NoError(t, s.SetKey(t.Context(), "alice", "wonder", renewed))
	wantRefusal(t, s, key, store.ErrNotFound)
	opens(renewed)
	got, err := s.Subject(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, []store.Namespace{{Name: "wonder", UUID: key.UUID}}, got.Namespaces)

	require.NoError(t, s.DeleteKey(t.Context(), "alice", "wonder"))
	wantRefusal(t, s, renewed, store.ErrNotFound)
	assert.ErrorIs(t, s.DeleteKey(t.Context(), "alice", "wonder"), store.ErrNotFound)
	require.NoError(t, s.SetKey(t.Context(), "bob", "wonder", key), "SetKey of a namespace that is free")
	require.NoError(t, s.DeleteSubject(t.Context(), "bob"))
	wantRefusal(t, s, key, store.ErrNotFound)
}

// wantIdentity asks twice: a store may remember whose a key is.
func wantIdentity(t *testing.T, s store.Subjects, key whisk.Key, want *whisk.Identity) {
	t.Helper()
	for range 2 {
		got, err := s.Authenticate(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// wantRefusal asks twice, as wantIdentity does.
func wantRefusal(t *testing.T, s store.Subjects, key whisk.Key, want error) {
	t.Helper()
	for range 2 {
		_, err := s.Authenticate(t.Context(), key)
		require.ErrorIs(t, err, want)
		assert.NotContains(t, err.Error(), key.Secret, "an error tells no secret")
	}
}
