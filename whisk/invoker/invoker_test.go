package invoker

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func TestColdThenWarm(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	inv := invocation(a, func(inv *Invocation) { inv.Received = inv.Received.Add(-50 * time.Millisecond) })
	cold := f.invoke(inv)
	assert.Equal(t, whisk.Response{Status: whisk.Success, Result: json.RawMessage(`{"a":1}`), Size: 7}, cold.Response)
	assert.Equal(t, inv.ID, cold.ID)
	assert.Equal(t, cold.End-cold.Start, whisk.Timestamp(*cold.Duration), "end - start, duration")
	_, initialized := annotationOf[int64](t, cold, "initTime")
	assert.True(t, initialized, "a cold start has an initTime")
	waited, _ := annotationOf[int64](t, cold, "waitTime")
	assert.GreaterOrEqual(t, waited, int64(50))
	path, _ := annotationOf[string](t, cold, "path")
	assert.Equal(t, "guest/echo", path)
	kind, _ := annotationOf[string](t, cold, "kind")
	assert.Equal(t, "wasm:0.1", kind)
	limits, _ := annotationOf[whisk.ActionLimits](t, cold, "limits")
	assert.Equal(t, a.Limits, limits)

	warm := f.invoke(invocation(a))
	_, initialized = annotationOf[int64](t, warm, "initTime")
	assert.False(t, initialized, "a warm one has none")

	changed := invocation(a, func(inv *Invocation) { inv.Revision = 2 })
	_, initialized = annotationOf[int64](t, f.invoke(changed), "initTime")
	assert.True(t, initialized, "another revision is cold")
	assert.Equal(t, 1, f.warm.count(), "and takes the place of the one before")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	quick := func(a *whisk.Action) { a.Limits.Timeout = 2 * time.Second }
	for _, c := range []struct {
		name   string
		action *whisk.Action
		status whisk.Status
		result string
	}{
		{"an array", f.action("array", answerGuest(`[1]`)), whisk.Success, `[1]`},
		{"an error", f.action("error", answerGuest(`{"b":2,"error":{"c":3}}`)), whisk.ApplicationError, `{"error":{"c":3}}`},
		{
			"no dictionary", f.action("string", answerGuest(`"hello"`)), whisk.DeveloperError,
			`{"error":"The action did not return a dictionary or array."}`,
		},
		{
			"past its time", f.action("spin", spinGuest(), quick), whisk.DeveloperError,
			`{"error":"The action exceeded its time limits of 2000 milliseconds."}`,
		},
		{
			"a large result", f.action("large", largeGuest()), whisk.ApplicationError,
			`{"error":"The action produced a response that exceeded the allowed length: 1048577 > 1048576 bytes."}`,
		},
		{
			"no module", f.action("junk", []byte("junk")), whisk.DeveloperError,
			`{"error":"cannot start action: .+"}`,
		},
		{
			"another kind", f.action("js", []byte("x"), func(a *whisk.Action) { a.Exec.Kind = "nodejs:20" }), whisk.DeveloperError,
			`{"error":"The kind 'nodejs:20' is not executed here: actions are WebAssembly of kind 'wasm:0.1'."}`,
		},
		{
			"a trap", f.action("trap", trapGuest()), whisk.DeveloperError,
			`{"error":"The action did not produce a valid response and exited unexpectedly.+"}`,
		},
		{
			"code that is not there", f.action("gone", echoGuest(), func(a *whisk.Action) { a.Exec.Digest[0]++ }), whisk.ApplicationError,
			`{"error":"Action could not be found or may have been deleted."}`,
		},
		{
			"an annotation that makes no sense", f.action("dir", echoGuest(), func(a *whisk.Action) { a.Annotations = a.Annotations.With("dir", "tmp") }), whisk.DeveloperError,
			`{"error":"the annotation dir must be an absolute path.+"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			record := f.invoke(invocation(c.action))
			assert.Equal(t, c.status, record.Response.Status, "%s", record.Response.Result)
			pattern := "^" + strings.NewReplacer("[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`).Replace(c.result) + "$"
			assert.Regexp(t, pattern, string(record.Response.Result))
			timedOut, _ := annotationOf[bool](t, record, "timeout")
			assert.Equal(t, c.name == "past its time", timedOut)
		})
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	record := f.invoke(invocation(f.action("log", logGuest())))
	require.Len(t, record.Logs, 2)
	assert.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z +stdout: hello stdout$`), record.Logs[0])
	assert.Regexp(t, `stderr: hello stderr$`, record.Logs[1])
	assert.Equal(t, byte(' '), record.Logs[0][30], "the prefix is padded to 30")

	none := f.action("none", logGuest(), func(a *whisk.Action) { a.Limits.LogsMB = 0 })
	record = f.invoke(invocation(none))
	require.NotEmpty(t, record.Logs)
	assert.Regexp(t, `stderr: Logs were truncated because the total bytes size exceeds the limit of 0 bytes\.$`, record.Logs[len(record.Logs)-1])
}

func TestWhatAnActionLearns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("environ", environGuest())
	inv := invocation(a, func(inv *Invocation) {
		inv.Namespace, inv.Binding, inv.CausedBy, inv.Cause = "caller", "caller/bound", "sequence", whisk.NewActivationID()
		inv.Env = map[string]string{"SECRET": "s", "EMPTY": ""}
		inv.APIKey, inv.Transaction = "uuid:key", "tid"
	})
	record := f.invoke(inv)
	for _, want := range []string{
		"SECRET=s|", "EMPTY=|", "__OW_NAMESPACE=caller|", "__OW_ACTION_NAME=/guest/environ|", "__OW_ACTION_VERSION=0.0.1|",
		"__OW_ACTIVATION_ID=" + string(inv.ID) + "|", "__OW_DEADLINE=", "__OW_API_KEY=uuid:key|", "__OW_TRANSACTION_ID=tid|",
		"__OW_API_HOST=http://127.0.0.1:3233|",
	} {
		assert.Contains(t, string(record.Response.Result), want)
	}
	assert.Equal(t, whisk.EntityName("caller"), record.Namespace)
	assert.Equal(t, inv.Cause, record.Cause)
	binding, _ := annotationOf[string](t, record, "binding")
	assert.Equal(t, "caller/bound", binding)
	causedBy, _ := annotationOf[string](t, record, "causedBy")
	assert.Equal(t, "sequence", causedBy)

	other := f.invoke(invocation(a))
	assert.NotContains(t, string(other.Response.Result), "SECRET", "what one is initialized with is not another's")
}

func TestWhoWaitsTooLongGetsAPromise(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("spin", spinGuest(), func(a *whisk.Action) { a.Limits.Timeout = 2 * time.Second })
	inv := invocation(a)
	p, err := f.Submit(inv)
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Wait(gone)
	require.ErrorIs(t, err, ErrUnfinished)
	promise := f.store.promised(inv.ID)
	require.NotNil(t, promise, "the promise is stored when the caller learns of it")
	assert.True(t, promise.Begun)

	record, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, whisk.DeveloperError, record.Response.Status)
	assert.Nil(t, f.store.promised(inv.ID), "the record ends the promise")
}

func TestUnrecordedActivationsLeaveNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	unrecorded := func(inv *Invocation) { inv.Unrecorded = true }
	awaited, err := f.Invoke(t.Context(), invocation(a, unrecorded))
	require.NoError(t, err)
	assert.Equal(t, whisk.Success, awaited.Response.Status, "who waits gets the record")

	ended := make(chan struct{})
	accepted := invocation(a, unrecorded, func(inv *Invocation) { inv.Ended = func() { close(ended) } })
	require.NoError(t, f.Accept(t.Context(), accepted))
	<-ended
	for _, id := range []whisk.ActivationID{awaited.ID, accepted.ID} {
		assert.Nil(t, f.store.record(id))
		assert.Nil(t, f.store.promised(id))
	}
}

func TestAcceptedActivationsAreRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	var all []Invocation
	for range 50 {
		all = append(all, invocation(a))
		require.NoError(t, f.Accept(t.Context(), all[len(all)-1]))
	}
	f.Stop(t.Context())
	for _, inv := range all {
		require.NotNil(t, f.store.record(inv.ID))
	}
	assert.Empty(t, f.store.promises)
	assert.Error(t, f.Accept(t.Context(), invocation(a)), "after Stop nothing is accepted")
}

func TestStopRecordsWhatDidNotRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Capacity.Activations = 1 })
	a := f.action("spin", spinGuest())
	first, second := invocation(a), invocation(a)
	require.NoError(t, f.Accept(t.Context(), first))
	require.NoError(t, f.Accept(t.Context(), second))
	now, cancel := context.WithCancel(t.Context())
	cancel()
	f.Stop(now)
	for _, inv := range []Invocation{first, second} {
		record := f.store.record(inv.ID)
		require.NotNil(t, record)
		assert.Equal(t, whisk.InternalError, record.Response.Status)
		assert.JSONEq(t, `{"error":"The server was stopped before the activation ended."}`, string(record.Response.Result))
	}
}

func TestPromisesOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	old := &store.Promise{
		ID: whisk.NewActivationID(), Subject: "guest", Namespace: "guest", Version: whisk.FirstVersion(), Accepted: time.Now().Add(-time.Hour),
		Action: whisk.FullyQualifiedName{Path: "guest/pkg", Name: "add"}, Annotations: whisk.Parameters{text("path", "guest/pkg/add")},
	}
	f := newFixture(t, func(c *Config) { c.Store.(*memory).promises[old.ID] = old })
	record := f.store.record(old.ID)
	require.NotNil(t, record, "Start records it")
	assert.Equal(t, whisk.InternalError, record.Response.Status)
	assert.Equal(t, whisk.At(old.Accepted), record.Start)
	assert.Equal(t, "pkg/add", record.FilterName())
}

func TestRecordThatCannotBeStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.err = errors.New("disk full")
	p, err := f.Submit(invocation(f.action("echo", echoGuest())))
	require.NoError(t, err)
	_, err = p.Wait(t.Context())
	require.ErrorIs(t, err, f.store.err)
	assert.ErrorIs(t, f.Accept(t.Context(), invocation(f.action("echo", echoGuest()))), f.store.err)
}

func TestFirstActivationsAtOnceMakeTheActionOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			p, err := f.Submit(invocation(a))
			if assert.NoError(t, err) {
				_, err = p.Wait(t.Context())
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	assert.Eventually(t, func() bool { return f.Stats() == Stats{Warm: 1} }, time.Minute, time.Millisecond, "they are counted until after they are recorded")
}

func TestPrecompile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	f.Precompile(a)
	f.Precompile(f.action("junk", []byte("junk")))
	f.compiling.wait()
	record := f.invoke(invocation(a))
	assert.Equal(t, whisk.Success, record.Response.Status)
}

func TestIdleActionsAreClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Capacity.Warm = 2 })
	for _, name := range []string{"a", "b", "c"} {
		f.invoke(invocation(f.action(name, echoGuest())))
	}
	assert.Equal(t, 2, f.Stats().Warm, "the longest unused makes room")
	f.warm.sweep(time.Now().Add(time.Hour))
	assert.Zero(t, f.Stats().Warm)
}

func TestEndedIsCalledOnceForEachActivation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.action("echo", echoGuest())
	ended := make(chan whisk.ActivationID, 3)
	invoked := func() Invocation {
		return invocation(a, func(inv *Invocation) { inv.Ended = func() { ended <- inv.ID } })
	}
	record, err := f.Invoke(t.Context(), invoked())
	require.NoError(t, err)
	assert.Equal(t, record.ID, <-ended)

	accepted := invoked()
	require.NoError(t, f.Accept(t.Context(), accepted))
	assert.Equal(t, accepted.ID, <-ended)

	f.Stop(t.Context())
	_, err = f.Invoke(t.Context(), invoked())
	require.Error(t, err)
	assert.Empty(t, ended, "an activation that was refused has no end")
}
