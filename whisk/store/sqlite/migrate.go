package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// newest is the version that this build's migrations lead to; a test holds it to
// them.
const newest = 2

// migrate brings the database to the newest version. Goose is asked only when
// there is something to do: it takes longer to find out than we do.
func migrate(ctx context.Context, db *sql.DB) error {
	switch version, err := versionOf(ctx, db); {
	case err != nil:
		return err
	case version > newest:
		return fmt.Errorf("database is of version %d, written by a later release; this one knows %d", version, newest)
	case version == newest:
		return nil
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := unhurried(ctx, db, func() error { _, err := provider.Up(ctx); return err }); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// unhurried runs fn with commits that do not wait for the disk. A migration that
// the loss of power undoes is whole still, and done again at the next start.
func unhurried(ctx context.Context, db *sql.DB, fn func() error) error {
	var before int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&before); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "PRAGMA synchronous = NORMAL"); err != nil {
		return err
	}
	err := fn()
	_, restored := db.ExecContext(ctx, fmt.Sprintf("PRAGMA synchronous = %d", before))
	return errors.Join(err, restored)
}

// versionOf is 0 for a database that goose has not seen.
func versionOf(ctx context.Context, db *sql.DB) (int64, error) {
	const table = "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'"
	var known int
	if err := db.QueryRowContext(ctx, table).Scan(&known); err != nil || known == 0 {
		return 0, err
	}
	var version int64
	err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	return version, err
}
