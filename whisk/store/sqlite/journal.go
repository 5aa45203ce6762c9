package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

type promiseRow struct{ id, doc, arguments []byte }

func encodePromise(p *store.Promise) (row promiseRow, err error) {
	if row.id, err = idBytes(p.ID); err != nil {
		return row, err
	}
	// A copy: should ctx end first, they are the caller's again while they are
	// written. Not nil, which would be NULL.
	row.arguments = append([]byte{}, p.Arguments...)
	row.doc, err = whisk.Encode(p)
	return row, err
}

// Accept goes with what others append at the same time.
func (db *DB) Accept(ctx context.Context, promises ...*store.Promise) error {
	return insertAll(ctx, db, "accept", promises, encodePromise)
}

func (r promiseRow) insert(ctx context.Context, s *statements) error {
	const query = `INSERT INTO promises (id, doc, arguments) SELECT ?1, ?2, ?3
		WHERE NOT EXISTS (SELECT 1 FROM activations WHERE id = ?1) ON CONFLICT (id) DO NOTHING`
	_, err := s.exec(ctx, query, r.id, r.doc, r.arguments)
	return err
}

// pendingAtOnce bounds what is in memory; between two reads nothing is held.
const pendingAtOnce = 64

// Pending reads a few promises at a time.
func (db *DB) Pending(ctx context.Context) iter.Seq2[*store.Promise, error] {
	return func(yield func(*store.Promise, error) bool) {
		for last, more := int64(0), true; more; {
			var promises []*store.Promise
			var err error
			promises, last, err = db.pendingAfter(ctx, last)
			if err != nil {
				yield(nil, fmt.Errorf("read promises: %w", err))
				return
			}
			for _, p := range promises {
				if !yield(p, nil) {
					return
				}
			}
			more = len(promises) == pendingAtOnce
		}
	}
}

func (db *DB) pendingAfter(ctx context.Context, seq int64) (promises []*store.Promise, last int64, err error) {
	if err := db.enter(); err != nil {
		return nil, seq, err
	}
	defer db.life.RUnlock()
	const query = "SELECT seq, doc, arguments FROM promises WHERE seq > ? ORDER BY seq LIMIT ?"
	err = db.reader.rows(ctx, query, []any{seq, pendingAtOnce}, func(rows *sql.Rows) error {
		var doc sql.RawBytes
		p := &store.Promise{}
		if err := rows.Scan(&last, &doc, &p.Arguments); err != nil {
			return err
		}
		promises = append(promises, p)
		return json.Unmarshal(doc, p)
	})
	return promises, last, err
}
