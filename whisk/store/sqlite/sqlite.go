// Package sqlite is the store of the standalone control plane in one SQLite
// database: all that package store asks for, with nothing else to install.
//
// One connection writes, several read. The database is in WAL mode, so that they
// do not wait for each other. A commit is on the disk before it is answered;
// what one commit costs is shared by all who append activation records at the
// same time (see batch.go).
//
// The directory belongs to one process, which holds a lock on a file in it. An
// operator's command may open it beside that process to change subjects or to
// make a backup (OpenBeside); the owner sees changed subjects within 100 ms.
//
// Locks are taken in this order: life, the writer, then those of the caches.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"wasmwhisk/whisk/store"
)

// The files of a store.
const (
	databaseFile = "whisk.db"
	lockFile     = "whisk.lock"
)

// Config says where a store is.
type Config struct {
	// Dir is the directory of its files. It is made when it is not there.
	Dir string
	// Sync says what an answered write survives; the zero value is SyncFull.
	Sync Sync
	// CacheBytes bounds the actions and packages that are kept in memory; the
	// zero value is 32 MiB.
	CacheBytes int

	// open is how tests put themselves between us and the driver.
	open func(dsn string) (*sql.DB, error)
}

// Sync says what a write survives once it is answered.
type Sync int

// The degrees of durability.
const (
	// SyncFull survives the loss of power: a commit waits for the disk.
	SyncFull Sync = iota
	// SyncNormal survives the end of the process, however it ends.
	SyncNormal
)

const defaultCacheBytes = 32 << 20

// readers is how many connections read at once.
const readers = 8

// DB is a store.Store.
type DB struct {
	life   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool

	file   string
	lock   *os.File // nil beside the owner
	pools  []*sql.DB
	reader *statements
	writer writer

	entities   entityCache
	identities identityCache
	batch      batch
}

// Open opens the store, makes it if it is not there, and brings it up to date.
// The error is store.ErrInUse when another process has it open.
func Open(ctx context.Context, cfg Config) (*DB, error) { return openWithin(ctx, cfg, patience) }

// patience is how long Open waits for the lock. Who has it may be about to end,
// or be a command; and a child that another goroutine is just starting has all
// our files until it is another program.
const patience = time.Second

func openWithin(ctx context.Context, cfg Config, patience time.Duration) (*DB, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(ctx, cfg.Dir, patience)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := connect(ctx, cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), lock.Close())
	}
	db.lock = lock
	return db, nil
}

// OpenBeside opens a store for an operator's command, whether or not a process
// has it open.
func OpenBeside(ctx context.Context, cfg Config) (store.Administration, error) {
	db, err := openWithin(ctx, cfg, 0)
	if errors.Is(err, store.ErrInUse) {
		if db, err = connect(ctx, cfg); err != nil {
			err = fmt.Errorf("open store: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

func connect(ctx context.Context, cfg Config) (_ *DB, err error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	db := newDB(filepath.Join(dir, databaseFile), cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.closePools())
		}
	}()
	if err := touch(db.file); err != nil {
		return nil, err
	}
	writing, err := db.pool(cfg, 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, writing); err != nil {
		return nil, err
	}
	reading, err := db.pool(cfg, readers)
	if err != nil {
		return nil, err
	}
	db.reader = newStatements(reading)
	return db, db.writer.init(ctx, writing)
}

// newDB is a store without connections.
func newDB(file string, cfg Config) *DB {
	db := &DB{file: file}
	db.entities.max = max(cfg.CacheBytes, 0)
	if cfg.CacheBytes == 0 {
		db.entities.max = defaultCacheBytes
	}
	db.batch.db, db.batch.activations = db, newActivationInsert()
	db.batch.promises.insert, db.batch.promises.end = newPromiseInsert(), newPromiseEnd()
	return db
}

// touch makes the database's file ours alone: SQLite gives its other files the
// same mode.
func touch(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// pool opens connections to the database.
func (db *DB) pool(cfg Config, connections int) (*sql.DB, error) {
	open := cfg.open
	if open == nil {
		open = func(dsn string) (*sql.DB, error) { return sql.Open("sqlite", dsn) }
	}
	pool, err := open(dsn(db.file, cfg.Sync))
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	db.pools = append(db.pools, pool)
	return pool, nil
}

// dsn names the database and says how each connection treats it.
func dsn(file string, sync Sync) string {
	degree := "FULL"
	if sync == SyncNormal {
		degree = "NORMAL"
	}
	query := url.Values{"_pragma": {
		"busy_timeout(10000)",
		"journal_mode(WAL)",
		"synchronous(" + degree + ")",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		"journal_size_limit(67108864)",
		// 16 MiB: pages of the index by id, which are written in no order, gather in
		// the log and go to the database once.
		"wal_autocheckpoint(4000)",
	}}
	return (&url.URL{Scheme: "file", Path: file, RawQuery: query.Encode()}).String()
}

// errClosed is what every call gets after Close.
var errClosed = errors.New("store is closed")

// enter begins a call, which ends with db.life.RUnlock.
func (db *DB) enter() error {
	db.life.RLock()
	if db.closed {
		db.life.RUnlock()
		return errClosed
	}
	return nil
}

// Close may be called more than once.
func (db *DB) Close() error {
	db.life.Lock()
	defer db.life.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	err := db.closePools()
	if db.lock != nil {
		err = errors.Join(err, db.lock.Close())
	}
	return err
}

// closePools ends the connections; the last one folds the log into the database.
func (db *DB) closePools() error {
	errs := []error{db.writer.close()}
	for _, pool := range db.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}

// Backup has SQLite write the copy, which it does from a snapshot.
func (db *DB) Backup(ctx context.Context, file string) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	// SQLite would write into an empty file: this one was not there before, and
	// is nobody else's to read.
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer f.Close()
	if err := db.copyTo(ctx, f); err != nil {
		return errors.Join(fmt.Errorf("back up: %w", err), os.Remove(file))
	}
	return nil
}

func (db *DB) copyTo(ctx context.Context, f *os.File) error {
	if _, err := db.reader.db.ExecContext(ctx, "VACUUM INTO ?", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}
