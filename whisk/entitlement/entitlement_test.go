package entitlement_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
)

func TestInvocationsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := entitlement.NewThrottle(entitlement.Rates{ConcurrentInvocations: -1})
		guest := &whisk.Identity{Namespace: "guest"}
		for range 60 {
			_, err := throttle.Invoke(guest)
			require.NoError(t, err, "Invoke, 60 in a minute")
		}
		_, err := throttle.Invoke(guest)
		require.EqualError(t, err, "Too many requests in the last minute (count: 61, allowed: 60).")
		_, err = throttle.Invoke(&whisk.Identity{Namespace: "other"})
		require.NoError(t, err, "Invoke of another namespace")
		require.NoError(t, throttle.Fire(guest), "Fire is counted apart")

		time.Sleep(time.Minute)
		_, err = throttle.Invoke(guest)
		require.NoError(t, err, "Invoke in the next minute")
	})
}

func TestFiresPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := entitlement.NewThrottle(entitlement.Rates{FiresPerMinute: 2})
		guest := &whisk.Identity{Namespace: "guest"}
		require.NoError(t, throttle.Fire(guest))
		require.NoError(t, throttle.Fire(guest))
		require.EqualError(t, throttle.Fire(guest), "Too many requests in the last minute (count: 3, allowed: 2).")
		require.EqualError(t, throttle.Fire(guest), "Too many requests in the last minute (count: 4, allowed: 2).", "what is refused counts")
	})
}

func TestConcurrentInvocations(t *testing.T) {
	t.Parallel()
	throttle := entitlement.NewThrottle(entitlement.Rates{InvocationsPerMinute: -1, ConcurrentInvocations: 2})
	guest := &whisk.Identity{Namespace: "guest"}
	ended, err := throttle.Invoke(guest)
	require.NoError(t, err)
	_, err = throttle.Invoke(guest)
	require.NoError(t, err)
	_, err = throttle.Invoke(guest)
	require.EqualError(t, err, "Too many concurrent requests in flight (count: 2, allowed: 2).")
	ended()
	ended() // counts once
	_, err = throttle.Invoke(guest)
	require.NoError(t, err)
	_, err = throttle.Invoke(guest)
	require.Error(t, err)
}

func TestSubjectsHaveRatesOfTheirOwn(t *testing.T) {
	t.Parallel()
	none := 0
	throttle := entitlement.NewThrottle(entitlement.Rates{})
	_, err := throttle.Invoke(&whisk.Identity{Namespace: "guest", Limits: whisk.UserLimits{InvocationsPerMinute: &none}})
	require.EqualError(t, err, "Too many requests in the last minute (count: 1, allowed: 0).")
	_, err = throttle.Invoke(&whisk.Identity{Namespace: "guest", Limits: whisk.UserLimits{ConcurrentInvocations: &none}})
	require.EqualError(t, err, "Too many concurrent requests in flight (count: 0, allowed: 0).")
}

func TestHammer(t *testing.T) {
	t.Parallel()
	const allowed = 5
	throttle := entitlement.NewThrottle(entitlement.Rates{InvocationsPerMinute: -1, ConcurrentInvocations: allowed})
	guest := &whisk.Identity{Namespace: "guest"}
	slots := make(chan struct{}, allowed)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 1000 {
				ended, err := throttle.Invoke(guest)
				if err != nil {
					continue
				}
				select {
				case slots <- struct{}{}:
					<-slots
				default:
					t.Error("Invoke granted more at once than are allowed")
				}
				ended()
			}
		})
	}
	callers.Wait()
}

func TestRights(t *testing.T) {
	t.Parallel()
	guest := &whisk.Identity{Namespace: "guest"}
	pkg := func(ns whisk.EntityPath, publish bool, binding whisk.Binding) *whisk.Package {
		return &whisk.Package{Header: whisk.Header{Namespace: ns, Name: "p", Publish: publish}, Binding: binding}
	}
	bound := whisk.Binding{Namespace: "third", Name: "p"}
	for _, c := range []struct {
		name string
		pkg  *whisk.Package
		want bool
	}{
		{"own", pkg("guest", false, whisk.Binding{}), true},
		{"own binding", pkg("guest", false, bound), true},
		{"published", pkg("other", true, whisk.Binding{}), true},
		{"not published", pkg("other", false, whisk.Binding{}), false},
		{"published binding", pkg("other", true, bound), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, entitlement.MayRead(guest, c.pkg), "MayRead(guest, %s/p)", c.pkg.Namespace)
		})
	}
}

func TestCheckKind(t *testing.T) {
	t.Parallel()
	anybody := &whisk.Identity{}
	require.NoError(t, entitlement.CheckKind(anybody, "wasm:0.1"))
	some := &whisk.Identity{Limits: whisk.UserLimits{AllowedKinds: []whisk.Kind{"wasm:0.1"}}}
	require.NoError(t, entitlement.CheckKind(some, "wasm:0.1"))
	require.EqualError(t, entitlement.CheckKind(some, "go:1.20"),
		"The supplied authentication is not authorized to access actions of kind 'go:1.20'.")
}
