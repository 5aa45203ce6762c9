// Package enginetest holds every engine to the contract of package engine.
//
// The test of a driver calls [Run], its benchmark [Benchmark]. Guests are hostile
// and written as text; after each of them the engine has to serve a well-behaved
// one. Outcomes are the same for every engine.
package enginetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// Open makes an engine. The suite closes it.
type Open func(ctx context.Context, config engine.Config) (engine.WasmRuntime, error)

// Options says what an engine is held to. The zero value is what every engine
// can do by itself.
type Options struct {
	// StackBytes is how much memory the stack of one guest may take when it
	// overflows, on average over many at once; 0 means 4 MiB.
	StackBytes int64
}

// A testCase is run on an engine of its own.
type testCase struct {
	name string
	run  func(t *testing.T, e *env)
	// alone keeps other cases away: it measures what belongs to the process.
	alone  bool
	config engine.Config
}

// Run holds engines that open makes to the contract.
func Run(t *testing.T, open Open, options Options) {
	for _, c := range testCases() {
		t.Run(c.name, func(t *testing.T) {
			if !c.alone {
				t.Parallel()
			}
			e := newEnv(t, open, c.config, options)
			c.run(t, e)
			e.servesNext(t)
		})
	}
}

func testCases() []testCase {
	small := engine.Config{TableElements: tableCap}
	return []testCase{
		{name: "a spinning guest stops when its context ends", run: testSpinning, alone: true},
		{name: "a spinning guest stops at its deadline", run: testDeadline, alone: true},
		{name: "a blocked host function ends with the context", run: testBlocked, alone: true},
		{name: "a context that has ended starts nothing", run: testEndedContext},
		{name: "a stopped guest gives the processor back", run: testProcessorGivenBack, alone: true},
		{name: "the garbage collector does not wait for a guest", run: testGarbageCollection, alone: true},
		{name: "recursion without loops stops when its context ends", run: testRecursion, alone: true},
		{name: "the garbage collector does not wait for recursion", run: testRecursionGarbage, alone: true},
		{name: "native stacks are bounded", run: testNativeStack, alone: true},

		{name: "traps have their kind", run: testTraps},
		{name: "traps in a start function have their kind", run: testStartTraps},
		{name: "accounts of traps are bounded", run: testTrapDetail},
		{name: "no trap where the specification has none", run: testNoTraps},
		{name: "recursion exhausts the call stack", run: testStackOverflow},
		{name: "errors of host functions come back unchanged", run: testHostErrors},
		{name: "host functions that panic end the call", run: testHostPanics},
		{name: "a guest that ends itself tells its code", run: testExit},

		{name: "memory grows up to its cap", run: testMemoryCap},
		{name: "memory that starts beyond its cap", run: testMemoryTooLarge},
		{name: "memory ends where it ends", run: testMemoryBounds},
		{name: "memory is a view", run: testMemoryView},
		{name: "tables grow up to their cap", run: testTableCap, config: small},
		{name: "tables that start beyond their cap", run: testTableTooLarge, config: small},
		{name: "tables are bounded by default", run: testTableDefault},

		{name: "malformed modules are refused", run: testMalformed},
		{name: "invalid modules are refused", run: testInvalid},
		{name: "features that nobody asked for are refused", run: testBeyond},
		{name: "modules that lie about sizes are refused", run: testLies},
		{name: "every prefix of a module", run: testPrefixes},
		{name: "every flipped bit of a module", run: testBitFlips},
		{name: "segments out of bounds", run: testSegments},
		{name: "large tables", run: testLargeTables},
		{name: "imports and exports are listed", run: testLists},
		{name: "imports that nobody offers", run: testMissingImports},
		{name: "imports of anything but functions", run: testOtherImports},
		{name: "exports that are not there", run: testMissingExports},
		{name: "names of modules mean nothing", run: testNames},

		{name: "host functions get what the guest passes", run: testHostValues},
		{name: "host functions get the caller's memory", run: testHostMemory},
		{name: "host functions get the context of the call", run: testHostContext},
		{name: "host functions may keep the context of the call", run: testKeptHostContext},
		{name: "two host functions of one name", run: testDuplicateHostFuncs},

		{name: "an instance never sees another's state", run: testIsolation},
		{name: "memories keep no more RAM than they may", run: testIdleBytes},
		{name: "a hundred instances at once", run: testConcurrency},
		{name: "compilation at once", run: testConcurrentCompile},
		{name: "instances outlive their module", run: testModuleClosed},
		{name: "closing twice", run: testCloseTwice},

		{name: "instances start from snapshots", run: testSnapshots},
		{name: "instances start from where a host function ended a call", run: testSnapshotsOfEndedCalls},
		{name: "instances are put back", run: testResets},
		{name: "captured instances are adopted", run: testAdoption},
		{name: "instances that have grown are put back whole or not at all", run: testResetAfterGrowth},
		{name: "instances that have grown as far as they may", run: testResetAfterLargestGrowth},
		{name: "state that no snapshot holds", run: testUncapturable},
		{name: "snapshots of other modules", run: testForeignSnapshots},
		{name: "snapshots keep no more RAM than they may", run: testSnapshotBytes},
		{name: "instances outlive their snapshot", run: testSnapshotsOutlived},
		{name: "snapshots at once", run: testConcurrentSnapshots},
		{name: "snapshots are kept on disk", run: testPersistence},
		{name: "snapshots on disk that are not the module's", run: testPersistenceRefuses},

		{name: "artefacts", run: testArtefacts},
		{name: "artefacts keep limits", run: testArtefactLimits, config: small},
		{name: "damaged artefacts", run: testDamagedArtefacts},
		{name: "the fingerprint tells configurations apart", run: testFingerprint},
		{name: "invalid modules have no artefact", run: testInvalidArtefact},
		{name: "artefacts are loaded at once", run: testConcurrentLoad},
	}
}

// servesNext sees to it that the engine works for well-behaved guests.
func (e *env) servesNext(t *testing.T) {
	t.Helper()
	instance := e.instance(t, `(func (export "add") (param i32 i32) (result i32)
		(i32.add (local.get 0) (local.get 1)))`)
	got, err := instance.Call(t.Context(), "add", 2, 3)
	require.NoError(t, err, "the next guest")
	assert.Equal(t, []uint64{5}, got, "the next guest")
}
