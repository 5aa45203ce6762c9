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

// newPromiseInsert leaves out promises that are there, and those that were kept.
func newPromiseInsert() *bulk {
	return newBulk("INSERT INTO promises (id, doc, arguments) SELECT * FROM (VALUES ", 3,
		") WHERE NOT EXISTS (SELECT 1 FROM activations WHERE id = column1) ON CONFLICT (id) DO NOTHING")
}

func (r promiseRow) appendArgs(args []any) []any { return append(args, r.id, r.doc, r.arguments) }

// newPromiseEnd removes the promises of so many records.
func newPromiseEnd() *bulk { return newBulk("DELETE FROM promises WHERE id IN (VALUES ", 1, ")") }

// endOfPromise is the id of a record.
type endOfPromise []byte

func (id endOfPromise) appendArgs(args []any) []any { return append(args, []byte(id)) }

// promises tells whether there may be promises, so that records need not look for
// theirs when there are none.
type promises struct {
	none        bool // in the database, nor in the transaction that there is
	insert, end *bulk
}

// look is for the beginning of a transaction: what the last one removed is there
// again if that failed.
func (p *promises) look(ctx context.Context, s *statements) error {
	if p.none {
		return nil
	}
	return s.row(ctx, "SELECT NOT EXISTS (SELECT 1 FROM promises)", nil, &p.none)
}

// accept inserts promises.
func (p *promises) accept(ctx context.Context, s *statements, rows []promiseRow) error {
	if len(rows) == 0 {
		return nil
	}
	p.none = false
	return execRows(ctx, s, p.insert, rows)
}

// keep ends the promises of records.
func (p *promises) keep(ctx context.Context, s *statements, records []activationRow) error {
	if p.none || len(records) == 0 {
		return nil
	}
	ids := make([]endOfPromise, len(records))
	for i, r := range records {
		ids[i] = r.id
	}
	return execRows(ctx, s, p.end, ids)
}

// Accept goes with what others append at the same time. The error begins with
// what was done.
func (db *DB) Accept(ctx context.Context, promises ...*store.Promise) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	encoded, err := encodeAll(promises, encodePromise)
	if err == nil {
		err = db.batch.do(ctx, rows{promises: encoded})
	}
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	return nil
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
