package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// keyShift is how far the start is shifted in a key; below it the records of one
// millisecond are numbered.
const keyShift = 20

// detail is what a record has beside its summary, as it is read. Lists do not
// read it.
type detail struct {
	Subject string          `json:"subject"`
	Result  json.RawMessage `json:"result"`
	Size    int             `json:"size"`
	Logs    []string        `json:"logs"`
}

// activationRow is a record, encoded by whom it is of, not by who writes it.
type activationRow struct {
	start                int64
	key                  int64 // known when the row is about to be inserted
	id                   []byte
	namespace            whisk.EntityName
	name                 string
	summaryDoc, detailed []byte
}

func encodeActivation(a *whisk.Activation) (activationRow, error) {
	row := activationRow{start: int64(a.Start), namespace: a.Namespace, name: a.FilterName()}
	if a.Start < 0 || a.Start > math.MaxInt64>>keyShift {
		return row, fmt.Errorf("activation %s: start %d is out of range", a.ID, a.Start)
	}
	var err error
	if row.id, err = idBytes(a.ID); err != nil {
		return row, err
	}
	row.summaryDoc = a.Summary().AppendJSON(make([]byte, 0, summaryBytes))
	row.detailed, err = appendDetail(nil, a)
	return row, err
}

// summaryBytes is room for most summaries.
const summaryBytes = 512

// appendDetail appends the JSON of the detail of a record.
func appendDetail(to []byte, a *whisk.Activation) ([]byte, error) {
	to = whisk.AppendText(append(to, `{"subject":`...), a.Subject)
	if result := a.Response.Result; len(result) > 0 {
		if !json.Valid(result) { // nobody could read the rest
			return nil, fmt.Errorf("activation %s: its result is not JSON", a.ID)
		}
		to = append(append(to, `,"result":`...), result...)
	}
	to = strconv.AppendInt(append(to, `,"size":`...), int64(a.Response.Size), 10)
	to = whisk.AppendTexts(append(to, `,"logs":`...), a.Logs)
	return append(to, '}'), nil
}

func idBytes(id whisk.ActivationID) ([]byte, error) {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 16 {
		return nil, fmt.Errorf("activation id %q is not 32 hexadecimal digits", id)
	}
	return b, nil
}

// newActivationInsert leaves out records that are there.
func newActivationInsert() *bulk {
	return newBulk("INSERT INTO activations (key, id, namespace, name, summary, detail) VALUES ", 6, " ON CONFLICT (id) DO NOTHING")
}

func (r activationRow) appendArgs(args []any) []any {
	return append(args, r.key, r.id, r.namespace, r.name, r.summaryDoc, r.detailed)
}

// Append goes with what others append at the same time. The error begins with
// what was done.
func (db *DB) Append(ctx context.Context, records ...*whisk.Activation) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	encoded, err := encodeAll(records, encodeActivation)
	if err == nil {
		err = db.batch.do(ctx, rows{records: encoded})
	}
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	return nil
}

// Activation reads both parts of a record.
func (db *DB) Activation(ctx context.Context, ns whisk.EntityName, id whisk.ActivationID) (*whisk.Activation, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	key, err := idBytes(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, store.ErrNotFound)
	}
	var summary, rest []byte
	const query = "SELECT summary, detail FROM activations WHERE id = ? AND namespace = ?"
	if err := db.reader.row(ctx, query, []any{key, ns}, &summary, &rest); err != nil {
		return nil, notFound(err, "activation", id)
	}
	return decodeActivation(summary, rest)
}

func decodeActivation(summary, rest []byte) (*whisk.Activation, error) {
	var s whisk.ActivationSummary
	if err := json.Unmarshal(summary, &s); err != nil {
		return nil, err
	}
	var d detail
	if err := json.Unmarshal(rest, &d); err != nil {
		return nil, err
	}
	return &whisk.Activation{
		Namespace: s.Namespace, Name: s.Name, Version: s.Version, Subject: d.Subject, ID: s.ID, Cause: s.Cause,
		Start: s.Start, End: s.End, Duration: s.Duration,
		Response: whisk.Response{Status: s.StatusCode, Result: d.Result, Size: d.Size},
		Logs:     d.Logs, Annotations: s.Annotations, Publish: s.Publish,
	}, nil
}

// ListActivations reads both parts of each record.
func (db *DB) ListActivations(ctx context.Context, q store.ActivationQuery) ([]*whisk.Activation, error) {
	list := []*whisk.Activation{}
	err := db.selectActivations(ctx, "summary, detail", q, func(rows *sql.Rows) error {
		var summary, rest sql.RawBytes
		if err := rows.Scan(&summary, &rest); err != nil {
			return err
		}
		a, err := decodeActivation(summary, rest)
		list = append(list, a)
		return err
	})
	return list, err
}

// ListSummaries does not read what it does not give.
func (db *DB) ListSummaries(ctx context.Context, q store.ActivationQuery) ([]*whisk.ActivationSummary, error) {
	list := []*whisk.ActivationSummary{}
	err := db.selectActivations(ctx, "summary", q, func(rows *sql.Rows) error {
		var doc sql.RawBytes
		if err := rows.Scan(&doc); err != nil {
			return err
		}
		s := &whisk.ActivationSummary{}
		list = append(list, s)
		return json.Unmarshal(doc, s)
	})
	return list, err
}

func (db *DB) selectActivations(ctx context.Context, columns string, q store.ActivationQuery, scan func(*sql.Rows) error) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	where, args := activationFilter(q)
	query := "SELECT " + columns + " FROM activations WHERE " + where + " ORDER BY key DESC LIMIT ? OFFSET ?"
	if err := db.reader.rows(ctx, query, append(args, limit(q.Page), q.Skip), scan); err != nil {
		return fmt.Errorf("list activations: %w", err)
	}
	return nil
}

// CountActivations counts in an index.
func (db *DB) CountActivations(ctx context.Context, q store.ActivationQuery) (int, error) {
	if err := db.enter(); err != nil {
		return 0, err
	}
	defer db.life.RUnlock()
	where, args := activationFilter(q)
	var n int
	if err := db.reader.row(ctx, "SELECT count(*) FROM activations WHERE "+where, args, &n); err != nil {
		return 0, fmt.Errorf("count activations: %w", err)
	}
	return max(n-q.Skip, 0), nil
}

func activationFilter(q store.ActivationQuery) (where string, args []any) {
	where, args = "namespace = ?", []any{q.Namespace}
	if q.Name != "" {
		where, args = where+" AND name = ?", append(args, q.Name)
	}
	if q.Since != 0 {
		where, args = where+" AND key >= ?", append(args, firstKey(q.Since))
	}
	if q.Upto != 0 {
		where, args = where+" AND key < ?", append(args, firstKey(q.Upto+1))
	}
	return where, args
}

// firstKey is the least key of a millisecond. What is out of range is as far as
// the range goes.
func firstKey(t whisk.Timestamp) int64 {
	return int64(min(max(t, 0), math.MaxInt64>>keyShift)) << keyShift
}

// retainAtOnce is how many records go in one transaction, between which others
// write.
const retainAtOnce = 1000

// Retain finds out which key is the first to stay.
func (db *DB) Retain(ctx context.Context, keep store.Retention) (removed int, err error) {
	if err := db.enter(); err != nil {
		return 0, err
	}
	defer db.life.RUnlock()
	first := firstKey(keep.Since)
	if keep.Count > 0 {
		var key int64
		const query = "SELECT coalesce((SELECT key FROM activations ORDER BY key DESC LIMIT 1 OFFSET ?), 0)"
		if err := db.reader.row(ctx, query, []any{keep.Count - 1}, &key); err != nil {
			return 0, fmt.Errorf("retain: %w", err)
		}
		first = max(first, key)
	}
	for {
		n, err := db.removeBefore(ctx, first)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("retain: %w", err)
		}
		if n < retainAtOnce {
			return removed, nil
		}
	}
}

func (db *DB) removeBefore(ctx context.Context, key int64) (int, error) {
	const query = "DELETE FROM activations WHERE key IN (SELECT key FROM activations WHERE key < ? ORDER BY key LIMIT ?)"
	var n int64
	err := db.writer.transaction(ctx, func(ctx context.Context, s *statements) (err error) {
		n, err = s.exec(ctx, query, key, retainAtOnce)
		return err
	})
	return int(n), err
}
