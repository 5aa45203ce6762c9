-- +goose Up

-- The code of actions, once for all that have the same.
CREATE TABLE code (
	digest BLOB PRIMARY KEY,
	bytes  BLOB NOT NULL
);

-- Actions, packages, triggers and rules. The revision comes from a sequence of
-- all, so that a name that was deleted and is made again does not meet old ones.
CREATE TABLE entities (
	id        INTEGER PRIMARY KEY,
	path      TEXT NOT NULL,
	name      TEXT NOT NULL,
	namespace TEXT NOT NULL,
	kind      TEXT NOT NULL,
	revision  INTEGER NOT NULL,
	updated   INTEGER NOT NULL,
	public    INTEGER NOT NULL,
	listens   TEXT,                          -- the trigger of a rule
	digest    BLOB REFERENCES code (digest), -- the code of an action
	doc       BLOB NOT NULL,
	UNIQUE (path, name)
);
CREATE INDEX entities_by_namespace ON entities (namespace, kind, updated, id);
CREATE INDEX entities_by_path ON entities (path, kind, updated, id);
CREATE INDEX entities_by_listens ON entities (listens) WHERE listens IS NOT NULL;
CREATE INDEX entities_by_digest ON entities (digest) WHERE digest IS NOT NULL;

CREATE TABLE revisions (last INTEGER NOT NULL);
INSERT INTO revisions VALUES (0);

-- Code goes with the last action that has it.
-- +goose StatementBegin
CREATE TRIGGER code_after_delete AFTER DELETE ON entities WHEN old.digest IS NOT NULL BEGIN
	DELETE FROM code WHERE digest = old.digest AND NOT EXISTS (SELECT 1 FROM entities WHERE digest = old.digest);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER code_after_update AFTER UPDATE OF digest ON entities WHEN old.digest IS NOT NULL AND old.digest IS NOT new.digest BEGIN
	DELETE FROM code WHERE digest = old.digest AND NOT EXISTS (SELECT 1 FROM entities WHERE digest = old.digest);
END;
-- +goose StatementEnd

-- Activation records. The key is the start in milliseconds, shifted by 20 bits,
-- plus a number that tells those of one millisecond apart: so the table is in the
-- order of time, and a range of time is a range of keys.
CREATE TABLE activations (
	key       INTEGER PRIMARY KEY,
	id        BLOB NOT NULL,
	namespace TEXT NOT NULL,
	name      TEXT NOT NULL, -- as lists by name look for it
	summary   BLOB NOT NULL,
	detail    BLOB NOT NULL
);
CREATE UNIQUE INDEX activations_by_id ON activations (id);
CREATE INDEX activations_by_namespace ON activations (namespace, key);
CREATE INDEX activations_by_name ON activations (namespace, name, key);

-- Activations that were promised and have no record.
CREATE TABLE promises (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	id        BLOB NOT NULL UNIQUE,
	doc       BLOB NOT NULL,
	arguments BLOB NOT NULL
);
-- +goose StatementBegin
CREATE TRIGGER promise_kept AFTER INSERT ON activations BEGIN
	DELETE FROM promises WHERE id = new.id;
END;
-- +goose StatementEnd

CREATE TABLE subjects (
	name    TEXT PRIMARY KEY,
	blocked INTEGER NOT NULL,
	limits  BLOB NOT NULL
);
CREATE TABLE namespaces (
	name    TEXT PRIMARY KEY,
	subject TEXT NOT NULL REFERENCES subjects (name) ON DELETE CASCADE,
	uuid    TEXT NOT NULL UNIQUE,
	secret  BLOB NOT NULL -- its SHA-256
);
CREATE INDEX namespaces_by_subject ON namespaces (subject);

-- Counts changes of the two above, so that a process sees another's.
CREATE TABLE subject_changes (count INTEGER NOT NULL);
INSERT INTO subject_changes VALUES (0);
