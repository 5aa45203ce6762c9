// Package storetest is the suite that every store passes, with its benchmarks.
// The test of an implementation says how to open it:
//
//	var harness = storetest.Harness{Open: …, OpenFailing: …}
//
//	func TestMain(m *testing.M) { storetest.Main(m, harness) }
//	func TestStore(t *testing.T) { storetest.Run(t, harness) }
//	func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, harness) }
package storetest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// Harness opens the implementation that is tested.
type Harness struct {
	// Open opens the store in a directory, and makes it if it is not there.
	Open func(dir string) (store.Store, error)
	// OpenFailing does so too, and asks fail before each write: if that gives an
	// error, the write is not done and has this error.
	OpenFailing func(dir string, fail func() error) (store.Store, error)
	// Check looks whether the files of a store that is closed are sound.
	Check func(dir string) error
	// OpenBackup opens what Backup wrote to file; dir is empty.
	OpenBackup func(dir, file string) (store.Store, error)
}

// Main is the TestMain of an implementation: it runs the tests, or is the
// process that a test kills. It does not return.
func Main(m *testing.M, h Harness) {
	if dir := os.Getenv(victimDir); dir != "" {
		os.Exit(victim(h, dir))
	}
	goleak.VerifyTestMain(m)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"entities":               testEntities,
		"kinds share names":      testKinds,
		"revisions":              testRevisions,
		"revisions never return": testRevisionsNeverReturn,
		"lists":                  testLists,
		"public lists":           testPublicLists,
		"transactions":           testTransactions,
		"rules of a trigger":     testRules,
		"code":                   testCode,
		"concurrent updates":     testConcurrentUpdates,
		"readers see writes":     testReadersSeeWrites,
		"activations":            testActivations,
		"activation faults":      testActivationFaults,
		"activation lists":       testActivationLists,
		"activation names":       testActivationNames,
		"concurrent appends":     testConcurrentAppends,
		"retention":              testRetention,
		"promises":               testPromises,
		"many promises":          testManyPromises,
		"subjects":               testSubjects,
		"guest":                  testGuest,
		"keys":                   testKeys,
		"reopen":                 testReopen,
		"one process":            testOneProcess,
		"closed":                 testClosed,
		"backup":                 testBackup,
		"failing writes":         testFailingWrites,
		"failing batch":          testFailingBatch,
		"killed":                 testKilled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// open opens a store in a directory of its own.
func open(t testing.TB, h Harness) store.Store {
	return openAt(t, h, t.TempDir())
}

func openAt(t testing.TB, h Harness, dir string) store.Store {
	t.Helper()
	s, err := h.Open(dir)
	require.NoError(t, err, "Open")
	t.Cleanup(func() { require.NoError(t, s.Close(), "Close") })
	return s
}

func named(path, name string) whisk.FullyQualifiedName {
	return whisk.FullyQualifiedName{Path: whisk.EntityPath(path), Name: whisk.EntityName(name)}
}

func header(path, name string, updated int) whisk.Header {
	return whisk.Header{
		Namespace: whisk.EntityPath(path), Name: whisk.EntityName(name), Version: whisk.FirstVersion(),
		Annotations: whisk.Parameters{}, Updated: whisk.Timestamp(updated),
	}
}

func action(path, name string, updated int, code string) *whisk.Action {
	return &whisk.Action{
		Header:     header(path, name, updated),
		Parameters: whisk.Parameters{}.With("a", map[string]any{"b": []int{1, 2}}),
		Limits:     whisk.DefaultLimits(),
		Exec:       whisk.NewExec(whisk.KindWasm, []byte(code)),
	}
}

func pack(path, name string, updated int) *whisk.Package {
	return &whisk.Package{Header: header(path, name, updated), Parameters: whisk.Parameters{}}
}

func trigger(path, name string, updated int) *whisk.Trigger {
	return &whisk.Trigger{Header: header(path, name, updated), Parameters: whisk.Parameters{}, Rules: map[string]whisk.RuleLink{}}
}

func rule(path, name, trigger, action string) *whisk.Rule {
	return &whisk.Rule{
		Header: header(path, name, 1), Status: whisk.RuleActive,
		Trigger: named(path, trigger), Action: named(path, action),
	}
}

// read is what a store gives for a stored action: without its code.
func read(a *whisk.Action) *whisk.Action {
	bare := *a
	bare.Exec.Code = nil
	return &bare
}

func put(t testing.TB, s store.Entities, e whisk.Entity, rev store.Revision) store.Revision {
	t.Helper()
	next, err := s.Put(t.Context(), e, rev)
	require.NoError(t, err, "Put(%s, %d)", e.FullName(), rev)
	return next
}

func record(ns, name string, start int) *whisk.Activation {
	duration := int64(3)
	return &whisk.Activation{
		Namespace: whisk.EntityName(ns), Name: whisk.EntityName(name), Version: whisk.FirstVersion(),
		Subject: "guest", ID: whisk.NewActivationID(), Start: whisk.Timestamp(start), End: whisk.Timestamp(start + 3), Duration: &duration,
		Response:    whisk.Response{Status: whisk.ApplicationError, Result: []byte(`{"error":"<&>"}`), Size: 15},
		Logs:        []string{"2026-01-01T00:00:00.000000000Z stdout: one", "two \x00 \u2028"},
		Annotations: whisk.Parameters{}.With("path", ns+"/"+name).With("kind", "wasm:0.1"),
	}
}
