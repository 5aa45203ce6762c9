package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlitedriver "modernc.org/sqlite"

	"wasmwhisk/whisk/store"
	"wasmwhisk/whisk/store/storetest"
)

var harness = storetest.Harness{
	Open: func(dir string) (store.Store, error) { return opened(Config{Dir: dir}) },
	OpenFailing: func(dir string, fail func() error) (store.Store, error) {
		return opened(Config{Dir: dir, open: func(dsn string) (*sql.DB, error) {
			return sql.OpenDB(&failing{dsn: dsn, fail: fail}), nil
		}})
	},
	Check: check,
	OpenBackup: func(dir, file string) (store.Store, error) {
		if err := os.Rename(file, filepath.Join(dir, databaseFile)); err != nil {
			return nil, err
		}
		return opened(Config{Dir: dir})
	},
}

// check asks SQLite, and looks for code that no action has.
func check(dir string) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseFile))
	if err != nil {
		return err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		return fmt.Errorf("integrity check: %s: %w", verdict, err)
	}
	var lost int
	const query = `SELECT (SELECT count(*) FROM pragma_foreign_key_check)
		+ (SELECT count(*) FROM code WHERE digest NOT IN (SELECT digest FROM entities WHERE digest IS NOT NULL))`
	if err := db.QueryRow(query).Scan(&lost); err != nil || lost != 0 {
		return fmt.Errorf("%d references or codes that lead nowhere: %w", lost, err)
	}
	return nil
}

// opened hides a nil *DB.
func opened(cfg Config) (store.Store, error) {
	db, err := Open(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return db, nil
}

func TestMain(m *testing.M)       { storetest.Main(m, harness) }
func TestStore(t *testing.T)      { storetest.Run(t, harness) }
func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, harness) }

// failing is SQLite's driver with faults in what writes.
type failing struct {
	dsn  string
	fail func() error
	real sqlitedriver.Driver
}

func (f *failing) Driver() driver.Driver { return &f.real }

func (f *failing) Connect(context.Context) (driver.Conn, error) {
	conn, err := f.real.Open(f.dsn)
	if err != nil {
		return nil, err
	}
	return &failingConn{Conn: conn, fail: f.fail}, nil
}

type failingConn struct {
	driver.Conn
	fail func() error
}

func (c *failingConn) Prepare(query string) (driver.Stmt, error) {
	stmt, err := c.Conn.Prepare(query)
	if err != nil || !writes(query) {
		return stmt, err
	}
	return &failingStmt{Stmt: stmt, fail: c.fail}, nil
}

// writes leaves ROLLBACK out, which does not write.
func writes(query string) bool {
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	return strings.Contains("BEGIN COMMIT INSERT UPDATE DELETE", verb)
}

type failingStmt struct {
	driver.Stmt
	fail func() error
}

func (s *failingStmt) Exec(args []driver.Value) (driver.Result, error) {
	if err := s.fail(); err != nil {
		return nil, err
	}
	return s.Stmt.Exec(args) //nolint:staticcheck // the old interface is the small one
}

func (s *failingStmt) Query(args []driver.Value) (driver.Rows, error) {
	if err := s.fail(); err != nil {
		return nil, err
	}
	return s.Stmt.Query(args) //nolint:staticcheck // as above
}
