package sqlite

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// credential is what is known of a key.
type credential struct {
	identity *whisk.Identity
	blocked  bool
	secret   [sha256.Size]byte // its digest
}

// identityCache keeps credentials by UUID. Another process may change them: so it
// looks now and then whether one has, and forgets them all if so.
type identityCache struct {
	mu        sync.Mutex
	kept      map[string]*credential
	forgotten int   // how often
	changes   int64 // as they were counted when it last looked
	looked    time.Time
}

const (
	// lookEvery is how old what another process has changed can seem.
	lookEvery     = 100 * time.Millisecond
	maxIdentities = 10000
)

// Authenticate compares digests in constant time, also for a UUID that there is
// not.
func (db *DB) Authenticate(ctx context.Context, key whisk.Key) (*whisk.Identity, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	known, err := db.credential(ctx, key.UUID)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	absent := err != nil
	if absent {
		known = &credential{}
	}
	given := sha256.Sum256([]byte(key.Secret))
	right := subtle.ConstantTimeCompare(given[:], known.secret[:]) == 1
	switch {
	case absent || !right:
		return nil, fmt.Errorf("key %s: %w", key, store.ErrNotFound)
	case known.blocked:
		return nil, fmt.Errorf("key %s: %w", key, store.ErrBlocked)
	}
	return known.identity, nil
}

func (db *DB) credential(ctx context.Context, uuid string) (*credential, error) {
	c := &db.identities
	known, seen, err := c.get(ctx, db.reader, uuid)
	if known != nil || err != nil {
		return known, err
	}
	known, err = db.readCredential(ctx, uuid)
	if err == nil {
		c.add(uuid, known, seen)
	}
	return known, err
}

// get gives what is kept, or what add wants to know.
func (c *identityCache) get(ctx context.Context, s *statements, uuid string) (known *credential, seen int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.lookLocked(ctx, s); err != nil {
		return nil, 0, err
	}
	return c.kept[uuid], c.forgotten, nil
}

// lookLocked forgets everything when something has changed.
func (c *identityCache) lookLocked(ctx context.Context, s *statements) error {
	now := time.Now()
	if now.Sub(c.looked) < lookEvery {
		return nil
	}
	var changes int64
	if err := s.row(ctx, "SELECT count FROM subject_changes", nil, &changes); err != nil {
		return err
	}
	if changes != c.changes {
		c.forgetLocked()
	}
	c.changes, c.looked = changes, now
	return nil
}

// add keeps what was read, unless something was forgotten since: then it may be
// old.
func (c *identityCache) add(uuid string, known *credential, seen int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != seen {
		return
	}
	if len(c.kept) >= maxIdentities {
		clear(c.kept)
	}
	if c.kept == nil {
		c.kept = map[string]*credential{}
	}
	c.kept[uuid] = known
}

func (c *identityCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked()
}

func (c *identityCache) forgetLocked() {
	c.kept = nil
	c.forgotten++
}

func (db *DB) readCredential(ctx context.Context, uuid string) (*credential, error) {
	const query = `SELECT n.name, n.secret, s.name, s.blocked, s.limits FROM namespaces n JOIN subjects s ON s.name = n.subject WHERE n.uuid = ?`
	known := &credential{identity: &whisk.Identity{UUID: uuid}}
	var secret, limits []byte
	err := db.reader.row(ctx, query, []any{uuid}, &known.identity.Namespace, &secret, &known.identity.Subject, &known.blocked, &limits)
	if err != nil {
		return nil, err
	}
	copy(known.secret[:], secret)
	return known, json.Unmarshal(limits, &known.identity.Limits)
}

// changeSubjects writes, and has everybody look again.
func (db *DB) changeSubjects(ctx context.Context, what string, fn func(context.Context, *statements) error) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	err := db.writer.transaction(ctx, func(ctx context.Context, s *statements) error {
		if err := fn(ctx, s); err != nil {
			return err
		}
		_, err := s.exec(ctx, "UPDATE subject_changes SET count = count + 1")
		return err
	})
	db.identities.forget()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// one turns a write that changed nothing into an error.
func one(changed int64, err, otherwise error) error {
	if err == nil && changed == 0 {
		return otherwise
	}
	return err
}

// CreateSubject adds a row.
func (db *DB) CreateSubject(ctx context.Context, subject *store.Subject) error {
	limits, err := whisk.Encode(subject.Limits)
	if err != nil {
		return err
	}
	return db.changeSubjects(ctx, "create subject "+subject.Name, func(ctx context.Context, s *statements) error {
		n, err := s.exec(ctx, "INSERT INTO subjects (name, blocked, limits) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			subject.Name, subject.Blocked, limits)
		return one(n, err, store.ErrExists)
	})
}

// UpdateSubject changes the row.
func (db *DB) UpdateSubject(ctx context.Context, subject *store.Subject) error {
	limits, err := whisk.Encode(subject.Limits)
	if err != nil {
		return err
	}
	return db.changeSubjects(ctx, "update subject "+subject.Name, func(ctx context.Context, s *statements) error {
		n, err := s.exec(ctx, "UPDATE subjects SET blocked = ?, limits = ? WHERE name = ?", subject.Blocked, limits, subject.Name)
		return one(n, err, store.ErrNotFound)
	})
}

// DeleteSubject takes the keys along.
func (db *DB) DeleteSubject(ctx context.Context, name string) error {
	return db.changeSubjects(ctx, "delete subject "+name, func(ctx context.Context, s *statements) error {
		n, err := s.exec(ctx, "DELETE FROM subjects WHERE name = ?", name)
		return one(n, err, store.ErrNotFound)
	})
}

// SetKey keeps the digest of the secret.
func (db *DB) SetKey(ctx context.Context, subject string, ns whisk.EntityName, key whisk.Key) error {
	secret := sha256.Sum256([]byte(key.Secret))
	return db.changeSubjects(ctx, "set key of "+subject, func(ctx context.Context, s *statements) error {
		var exists int
		if err := s.row(ctx, "SELECT 1 FROM subjects WHERE name = ?", []any{subject}, &exists); err != nil {
			return notFound(err, "subject", subject)
		}
		const query = `INSERT INTO namespaces (name, subject, uuid, secret) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET uuid = excluded.uuid, secret = excluded.secret WHERE subject = excluded.subject`
		n, err := s.exec(ctx, query, ns, subject, key.UUID, secret[:])
		return one(n, err, store.ErrExists)
	})
}

// DeleteKey removes a row.
func (db *DB) DeleteKey(ctx context.Context, subject string, ns whisk.EntityName) error {
	return db.changeSubjects(ctx, "delete key of "+subject, func(ctx context.Context, s *statements) error {
		n, err := s.exec(ctx, "DELETE FROM namespaces WHERE name = ? AND subject = ?", ns, subject)
		return one(n, err, store.ErrNotFound)
	})
}

// Subject reads one with its namespaces.
func (db *DB) Subject(ctx context.Context, name string) (*store.Subject, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	found, err := db.selectSubjects(ctx, "SELECT name, blocked, limits FROM subjects WHERE name = ?", name)
	if err != nil {
		return nil, fmt.Errorf("read subject %s: %w", name, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("subject %s: %w", name, store.ErrNotFound)
	}
	return found[0], nil
}

// ListSubjects reads all with their namespaces.
func (db *DB) ListSubjects(ctx context.Context, p store.Page) ([]*store.Subject, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.life.RUnlock()
	const query = "SELECT name, blocked, limits FROM subjects ORDER BY name LIMIT ? OFFSET ?"
	found, err := db.selectSubjects(ctx, query, limit(p), p.Skip)
	if err != nil {
		return nil, fmt.Errorf("list subjects: %w", err)
	}
	return found, nil
}

func (db *DB) selectSubjects(ctx context.Context, query string, args ...any) ([]*store.Subject, error) {
	found := []*store.Subject{}
	err := db.reader.rows(ctx, query, args, func(rows *sql.Rows) error {
		s := &store.Subject{}
		var limits sql.RawBytes
		if err := rows.Scan(&s.Name, &s.Blocked, &limits); err != nil {
			return err
		}
		found = append(found, s)
		return json.Unmarshal(limits, &s.Limits)
	})
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if s.Namespaces, err = db.namespacesOf(ctx, s.Name); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (db *DB) namespacesOf(ctx context.Context, subject string) ([]store.Namespace, error) {
	list := []store.Namespace{}
	const query = "SELECT name, uuid FROM namespaces WHERE subject = ? ORDER BY name"
	err := db.reader.rows(ctx, query, []any{subject}, func(rows *sql.Rows) error {
		var n store.Namespace
		if err := rows.Scan(&n.Name, &n.UUID); err != nil {
			return err
		}
		list = append(list, n)
		return nil
	})
	return list, err
}
