package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// Find looks in the cache first.
func (db *DB) Find(ctx context.Context, name whisk.FullyQualifiedName) (whisk.Entity, store.Revision, error) {
	if err := db.enter(); err != nil {
		return nil, 0, err
	}
	defer db.life.RUnlock()
	if e, rev, ok := db.entities.get(name); ok {
		return e, rev, nil
	}
	seen := db.entities.changes()
	row, err := findRow(ctx, db.reader, name)
	if err != nil {
		return nil, 0, err
	}
	e, err := row.entity(ctx, db.reader)
	if err == nil {
		db.entities.add(e, row.revision, len(row.doc), seen)
	}
	return e, row.revision, err
}

// Put is a transaction of its own.
func (db *DB) Put(ctx context.Context, e whisk.Entity, rev store.Revision) (next store.Revision, err error) {
	err = db.Update(ctx, func(tx store.Entities) error {
		next, err = tx.Put(ctx, e, rev)
		return err
	})
	return next, err
}

// Delete is a transaction of its own.
func (db *DB) Delete(ctx context.Context, name whisk.FullyQualifiedName, rev store.Revision) error {
	return db.Update(ctx, func(tx store.Entities) error { return tx.Delete(ctx, name, rev) })
}

// List reads from a snapshot.
func (db *DB) List(ctx context.Context, q store.Query) ([]whisk.Entity, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	return listEntities(ctx, db.reader, q)
}

// Count reads from a snapshot.
func (db *DB) Count(ctx context.Context, q store.Query) (int, error) {
	if err := db.enter(); err != nil {
		return 0, err
	}
	defer db.life.RUnlock()
	return countEntities(ctx, db.reader, q)
}

// ReadCode gives a copy.
func (db *DB) ReadCode(ctx context.Context, digest whisk.Digest) ([]byte, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	var code []byte
	err := db.reader.row(ctx, "SELECT bytes FROM code WHERE digest = ?", []any{digest[:]}, &code)
	return code, notFound(err, "code", digest)
}

// Update runs fn with the writer's turn.
func (db *DB) Update(ctx context.Context, fn func(tx store.Entities) error) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	release := func() {}
	err := db.writer.transaction(ctx, func(ctx context.Context, s *statements) error {
		tx := &transaction{on: s}
		err := fn(tx)
		if err == nil {
			release = db.entities.drop(tx.touched)
		}
		return err
	})
	// Also after an error: that a commit failed need not mean that it did not
	// happen, and what was read before may be old.
	release()
	return err
}

// notFound says what was not found, when err is that there is no row.
func notFound(err error, what string, name any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %v: %w", what, name, store.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("read %s %v: %w", what, name, err)
	}
	return nil
}

// transaction is the store.Entities of an Update.
type transaction struct {
	on      *statements
	touched []whisk.FullyQualifiedName
}

func (t *transaction) Find(ctx context.Context, name whisk.FullyQualifiedName) (whisk.Entity, store.Revision, error) {
	row, err := findRow(ctx, t.on, name)
	if err != nil {
		return nil, 0, err
	}
	e, err := row.entity(ctx, t.on)
	return e, row.revision, err
}

func (t *transaction) List(ctx context.Context, q store.Query) ([]whisk.Entity, error) {
	return listEntities(ctx, t.on, q)
}

func (t *transaction) Count(ctx context.Context, q store.Query) (int, error) {
	return countEntities(ctx, t.on, q)
}

// Put looks at what is there, then writes code before what refers to it.
func (t *transaction) Put(ctx context.Context, e whisk.Entity, rev store.Revision) (store.Revision, error) {
	name := e.FullName()
	if err := t.expect(ctx, name, rev); err != nil {
		return 0, err
	}
	digest, err := t.putCode(ctx, e)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", name, err)
	}
	next, err := t.write(ctx, e, digest, rev)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", name, err)
	}
	return next, nil
}

// expect wants the entity of a name to be at rev, or absent when that is 0.
func (t *transaction) expect(ctx context.Context, name whisk.FullyQualifiedName, rev store.Revision) error {
	t.touched = append(t.touched, name)
	row, err := findRow(ctx, t.on, name)
	switch {
	case errors.Is(err, store.ErrNotFound) && rev == 0:
		return nil
	case err != nil:
		return err
	case rev == 0:
		return fmt.Errorf("%s: %w", name, store.ErrExists)
	case row.revision != rev:
		return fmt.Errorf("%s: %w", name, store.ErrConflict)
	}
	return nil
}

// putCode stores the code of an action, unless it is there, and gives what the
// entity refers to: nil for none.
func (t *transaction) putCode(ctx context.Context, e whisk.Entity) ([]byte, error) {
	a, ok := e.(*whisk.Action)
	if !ok || a.Exec.Code == nil && a.Exec.Digest == (whisk.Digest{}) {
		return nil, nil
	}
	if a.Exec.Code == nil {
		return a.Exec.Digest[:], t.haveCode(ctx, a.Exec.Digest)
	}
	digest := whisk.DigestOf(a.Exec.Code)
	_, err := t.on.exec(ctx, "INSERT INTO code (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING", digest[:], a.Exec.Code)
	return digest[:], err
}

func (t *transaction) haveCode(ctx context.Context, digest whisk.Digest) error {
	var one int
	err := t.on.row(ctx, "SELECT 1 FROM code WHERE digest = ?", []any{digest[:]}, &one)
	return notFound(err, "code", digest)
}

func (t *transaction) write(ctx context.Context, e whisk.Entity, digest []byte, rev store.Revision) (store.Revision, error) {
	doc, err := encodeEntity(e)
	if err != nil {
		return 0, err
	}
	var next store.Revision
	if err := t.on.row(ctx, "UPDATE revisions SET last = last + 1 RETURNING last", nil, &next); err != nil {
		return 0, err
	}
	h := e.Head()
	const insert = `INSERT INTO entities (kind, revision, updated, public, listens, digest, doc, namespace, path, name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	const update = `UPDATE entities SET kind = ?, revision = ?, updated = ?, public = ?, listens = ?, digest = ?, doc = ?, namespace = ?
		WHERE path = ? AND name = ?`
	query := update
	if rev == 0 {
		query = insert
	}
	_, err = t.on.exec(ctx, query, e.Kind(), next, h.Updated, public(e), listens(e), digest, doc,
		h.Namespace.Namespace(), h.Namespace, h.Name)
	return next, err
}

// public reports whether others see e in lists.
func public(e whisk.Entity) bool {
	p, isPackage := e.(*whisk.Package)
	return e.Head().Publish && (!isPackage || !p.Bound())
}

// listens is the trigger of a rule, and nil for everything else.
func listens(e whisk.Entity) any {
	if r, ok := e.(*whisk.Rule); ok {
		return r.Trigger.ID()
	}
	return nil
}

func (t *transaction) Delete(ctx context.Context, name whisk.FullyQualifiedName, rev store.Revision) error {
	if rev == 0 {
		return fmt.Errorf("delete %s: %w", name, store.ErrConflict)
	}
	if err := t.expect(ctx, name, rev); err != nil {
		return err
	}
	if err := t.silenceRules(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	_, err := t.on.exec(ctx, "DELETE FROM entities WHERE path = ? AND name = ?", name.Path, name.Name)
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// silenceRules makes the rules of a trigger inactive.
func (t *transaction) silenceRules(ctx context.Context, trigger whisk.FullyQualifiedName) error {
	rules, err := rulesOf(ctx, t.on, trigger)
	if err != nil {
		return err
	}
	for _, rule := range rules {
		_, rev, err := t.Find(ctx, rule.FullName())
		if err != nil {
			return err
		}
		rule.Status = whisk.RuleInactive
		if _, err := t.Put(ctx, rule, rev); err != nil {
			return err
		}
	}
	return nil
}
