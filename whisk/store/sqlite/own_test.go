package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func openDB(t *testing.T, cfg Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), cfg)
	require.NoError(t, err, "Open")
	t.Cleanup(func() { require.NoError(t, db.Close(), "Close") })
	return db
}

func TestInUseNamesTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openDB(t, Config{Dir: dir})
	_, err := Open(t.Context(), Config{Dir: dir})
	require.ErrorIs(t, err, store.ErrInUse)
	assert.Regexp(t, `^open store: .*: in use by another process \(pid \d+\)$`, err.Error())
}

// TestBeside: what a command beside the owner changes, the owner sees.
func TestBeside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner := openDB(t, Config{Dir: dir})
	beside, err := OpenBeside(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	defer beside.Close()

	key := whisk.NewKey()
	_, err = owner.Authenticate(t.Context(), key)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, beside.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, beside.SetKey(t.Context(), "guest", "guest", key))
	assert.Eventually(t, func() bool {
		_, err := owner.Authenticate(t.Context(), key)
		return err == nil
	}, 10*time.Second, time.Millisecond, "the owner accepts the key")

	require.NoError(t, beside.UpdateSubject(t.Context(), &store.Subject{Name: "guest", Blocked: true}))
	assert.Eventually(t, func() bool {
		_, err := owner.Authenticate(t.Context(), key)
		return errors.Is(err, store.ErrBlocked)
	}, 10*time.Second, time.Millisecond, "the owner sees that the subject is blocked")
	require.NoError(t, beside.Backup(t.Context(), filepath.Join(t.TempDir(), "backup")))
}

func TestBesideNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone, err := OpenBeside(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, alone.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, alone.Close())
	_, err = openDB(t, Config{Dir: dir}).Subject(t.Context(), "guest")
	assert.NoError(t, err)
}

func TestNoSecretIsStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, Config{Dir: dir})
	key := whisk.NewKey()
	require.NoError(t, db.CreateSubject(t.Context(), &store.Subject{Name: "guest"}))
	require.NoError(t, db.SetKey(t.Context(), "guest", "guest", key))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		assert.NotContains(t, string(data), key.Secret, "in %s", f.Name())
		info, err := f.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, "%s is nobody else's to read", f.Name())
	}
}

func TestLaterVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openDB(t, Config{Dir: dir})
	_, err := db.writer.statements.exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = Open(t.Context(), Config{Dir: dir})
	assert.ErrorContains(t, err, "database is of version 99, written by a later release")
}

// TestCommitsWaitForTheDisk: also those of a store that was just made.
func TestCommitsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	for sync, want := range map[Sync]int{SyncFull: 2, SyncNormal: 1} {
		var got int
		db := openDB(t, Config{Dir: t.TempDir(), Sync: sync})
		require.NoError(t, db.writer.statements.row(t.Context(), "PRAGMA synchronous", nil, &got))
		assert.Equal(t, want, got, "synchronous of the writer with Sync %d", sync)
	}
}

func TestNewestIsTheLastMigration(t *testing.T) {
	t.Parallel()
	files, err := migrations.ReadDir("migrations")
	require.NoError(t, err)
	assert.Len(t, files, newest, "migrations")
}

// TestFullDisk has SQLite itself refuse to grow.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	db := openDB(t, Config{Dir: t.TempDir()})
	var pages int
	require.NoError(t, db.writer.statements.row(t.Context(), "PRAGMA page_count", nil, &pages))
	require.NoError(t, db.writer.statements.row(t.Context(), "PRAGMA max_page_count = 60", nil, &pages))
	big := &whisk.Action{
		Header: whisk.Header{Namespace: "guest", Name: "big", Version: whisk.FirstVersion()}, Limits: whisk.DefaultLimits(),
		Exec: whisk.NewExec(whisk.KindWasm, []byte(strings.Repeat("x", 1<<20))),
	}
	_, err := db.Put(t.Context(), big, 0)
	require.ErrorContains(t, err, "full")
	_, _, err = db.Find(t.Context(), big.FullName())
	require.ErrorIs(t, err, store.ErrNotFound, "what failed is not there")

	big.Exec = whisk.NewExec(whisk.KindWasm, []byte("small"))
	_, err = db.Put(t.Context(), big, 0)
	require.NoError(t, err, "what fits is stored all the same")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	db := openDB(t, Config{Dir: t.TempDir(), CacheBytes: 2000})
	for _, name := range []whisk.EntityName{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		_, err := db.Put(t.Context(), &whisk.Package{Header: whisk.Header{Namespace: "guest", Name: name, Version: whisk.FirstVersion()}}, 0)
		require.NoError(t, err)
		for range 2 {
			p, _, err := db.Find(t.Context(), whisk.FullyQualifiedName{Path: "guest", Name: name})
			require.NoError(t, err)
			assert.Equal(t, name, p.Head().Name)
		}
		assert.LessOrEqual(t, db.entities.bytes, 2000)
	}
	assert.Greater(t, len(db.entities.kept), 1, "entities kept")
}

// TestNumbers: records of one millisecond are told apart in the order in which
// they came, also those that come late, or after the store was opened again.
func TestNumbers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []whisk.ActivationID
	appendAt := func(db *DB, starts ...int) {
		records := make([]*whisk.Activation, len(starts))
		for i, start := range starts {
			records[i] = ranAt(start)
			if start == 5 {
				want = append(want, records[i].ID)
			}
		}
		require.NoError(t, db.Append(t.Context(), records...))
	}
	later := make([]int, 2*maxNumbered) // more than are remembered
	for i := range later {
		later[i] = 100 + i
	}
	db, err := Open(t.Context(), Config{Dir: dir})
	require.NoError(t, err)
	appendAt(db, 5, 5, 7, 5)
	appendAt(db, later...)
	appendAt(db, 6, 5)
	appendAt(db, 5)
	require.NoError(t, db.Close())
	db = openDB(t, Config{Dir: dir})
	appendAt(db, 5, 6, 5)

	list, err := db.ListSummaries(t.Context(), store.ActivationQuery{Namespace: "guest", Upto: 5})
	require.NoError(t, err)
	got := make([]whisk.ActivationID, 0, len(list))
	for _, a := range slices.Backward(list) {
		got = append(got, a.ID)
	}
	assert.Equal(t, want, got, "records of one millisecond, the oldest first")
}

// ranAt is the record of an activation that started in a millisecond.
func ranAt(start int) *whisk.Activation {
	return &whisk.Activation{
		Namespace: "guest", Name: "a", Version: whisk.FirstVersion(), ID: whisk.NewActivationID(), Start: whisk.Timestamp(start),
	}
}

// TestManyRowsAtOnce inserts numbers of rows that take several statements.
func TestManyRowsAtOnce(t *testing.T) {
	t.Parallel()
	db := openDB(t, Config{Dir: t.TempDir()})
	total := 0
	most := 1 << (len(bulk{}) - 1)
	for _, n := range []int{0, 1, 3, most - 1, most, 2*most - 1, 3 * most} {
		records := make([]*whisk.Activation, n)
		for i := range records {
			records[i] = ranAt(1)
		}
		require.NoError(t, db.Append(t.Context(), records...))
		total += n
	}
	got, err := db.CountActivations(t.Context(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	assert.Equal(t, total, got, "records, of %d", total)
}

// TestNobodyWaitsForABatchThatPanicked: the next finds the writer free.
func TestNobodyWaitsForABatchThatPanicked(t *testing.T) {
	t.Parallel()
	db := openDB(t, Config{Dir: t.TempDir()})
	insert := db.batch.activations
	db.batch.activations = nil
	require.ErrorContains(t, db.Append(t.Context(), ranAt(1)), "append: panicked: ")
	db.batch.activations = insert
	require.NoError(t, db.Append(t.Context(), ranAt(1)))
}
