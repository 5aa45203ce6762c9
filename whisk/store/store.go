// Package store is the contract of what the standalone control plane keeps:
// entities and the code of actions, activation records, subjects and their keys,
// and the activations that were accepted but have not ended. What implements it
// stands below (sqlite), what holds an implementation to it in storetest.
//
// It is to its implementations what package io is to files: interfaces, a few
// functions that work on all of them, and errors. The controller, the invoker
// and the entitlement are each given the interfaces that they use, not a Store.
//
// # Entities
//
// Actions, packages, triggers and rules share the names of a namespace, and are
// read with the revision that they are at:
//
//	action, rev, err := store.Get[*whisk.Action](ctx, s, name)
//
// What is read may be shared with other readers and must not be changed. An
// update makes a new value and puts it where the old one was; if another was
// faster, it gets ErrConflict:
//
//	updated, err := put.Update(action, whisk.At(time.Now()))
//	rev, err = s.Put(ctx, updated, rev)
//
// A create puts at revision 0, which is no revision: there must be nothing of
// that name, or the error is ErrExists. A caller that does not care what is
// there reads it and retries on ErrConflict.
//
// What must be true of more than one entity is checked and written in one
// transaction, which others see whole or not at all:
//
//	err := s.Update(ctx, func(tx store.Entities) error {
//		if _, _, err := store.Get[*whisk.Trigger](ctx, tx, rule.Trigger); err != nil {
//			return err
//		}
//		_, err := tx.Put(ctx, rule, 0)
//		return err
//	})
//
// An action's code is stored with it, once for all actions that have the same,
// and goes when the last of them goes. A Put of an action with code stores it in
// the same transaction; of an action without, as Get gave it, keeps what
// Exec.Digest names. Get and List never read code: Code does.
//
// The rules of a trigger are kept with the rules: a trigger that is read shows
// those that name it, and Put of a rule is enough to add it. Deleting a trigger
// leaves its rules, inactive.
//
// # Activations
//
// Append returns when the record is durable: an invoker appends, then answers.
// Records of many callers go to disk together.
//
// An answer that promises an activation (202) is given after Accept, which is
// durable too. Append of the record with the same id ends the promise, whatever
// came first. After a restart, Pending gives the promises that have no record:
// the invoker runs each, or appends a record that says whisk internal error. One
// that may have begun must not be run again; what it was accepted as says so.
// Firing a trigger accepts the activations of its rules, appends the trigger's
// own record, and answers then.
//
// # Subjects
//
// A key is stored as the SHA-256 of its secret. That is enough, where a password
// would need a slow hash: a secret is 64 random letters and digits, so there is
// no guessing it, at any speed.
//
// # Errors
//
// What may be the caller's doing is ErrNotFound, ErrExists, ErrConflict,
// ErrOtherKind or ErrBlocked, for errors.Is; what to answer depends on the
// route. Anything else is a fault of ours. After an error of Put, Update, Append
// or Accept other than these and those of ctx nothing was stored.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"wasmwhisk/whisk"
)

// The errors that are not the store's own fault.
var (
	// ErrNotFound: nothing of this name, id, key or digest.
	ErrNotFound = errors.New("not found")
	// ErrExists: a create met something of the same name, of any kind.
	ErrExists = errors.New("exists already")
	// ErrConflict: it is no longer at this revision.
	ErrConflict = errors.New("changed concurrently")
	// ErrOtherKind: what has this name is an entity of another kind.
	ErrOtherKind = errors.New("entity of another kind")
	// ErrBlocked: the key is right, but its subject is blocked.
	ErrBlocked = errors.New("subject is blocked")
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("in use by another process")
)

// Store is everything. Its methods may be called from several goroutines at
// once.
type Store interface {
	Entities
	Transactor
	Code
	Activations
	Journal
	Administration
}

// Administration is what an operator's command uses, also beside the process that
// has the store open.
type Administration interface {
	Subjects

	// Backup writes a copy of the store, as it is at one moment during the call,
	// to a file that must not exist. Others go on reading and writing.
	Backup(ctx context.Context, file string) error
	// Close waits for what was begun and releases the store. What is called after
	// it fails.
	Close() error
}

// Revision tells one state of an entity from all others that anything of its name
// ever had. 0 stands for no entity.
type Revision int64

// Entities keeps actions, packages, triggers and rules.
type Entities interface {
	// Find gives the entity of a name, whatever its kind, without an action's
	// code. It must not be changed. See Get.
	Find(ctx context.Context, name whisk.FullyQualifiedName) (whisk.Entity, Revision, error)
	// Put stores e in the place of the entity that is at rev, or of none when rev
	// is 0, and gives its new revision. It keeps no part of e.
	Put(ctx context.Context, e whisk.Entity, rev Revision) (Revision, error)
	// Delete removes the entity of a name that is at rev.
	Delete(ctx context.Context, name whisk.FullyQualifiedName, rev Revision) error
	// List gives what q selects, the last updated first, without code. The
	// entities must not be changed.
	List(ctx context.Context, q Query) ([]whisk.Entity, error)
	// Count gives how many q selects; Limit does not matter, Skip is subtracted,
	// but there are never fewer than none.
	Count(ctx context.Context, q Query) (int, error)
}

// Query selects entities of one kind.
type Query struct {
	Kind whisk.EntityKind
	// Path is a namespace, whose packages are included, or a package of one.
	Path whisk.EntityPath
	// Public leaves out what is not published, and bindings.
	Public bool
	Page
}

// Page selects a part of a list.
type Page struct {
	Skip  int
	Limit int // 0 is no bound
}

// Get is Find for entities of one kind: for others the error is ErrOtherKind.
func Get[E whisk.Entity](ctx context.Context, s Entities, name whisk.FullyQualifiedName) (E, Revision, error) {
	var none E
	found, rev, err := s.Find(ctx, name)
	if err != nil {
		return none, 0, err
	}
	e, ok := found.(E)
	if !ok {
		return none, 0, ErrOtherKind
	}
	return e, rev, nil
}

// List is Entities.List with the type of what q.Kind names; E decides, and
// q.Kind is set to it.
func List[E whisk.Entity](ctx context.Context, s Entities, q Query) ([]E, error) {
	var kind E
	q.Kind = kind.Kind()
	found, err := s.List(ctx, q)
	if err != nil {
		return nil, err
	}
	list := make([]E, len(found))
	for i, e := range found {
		list[i] = e.(E)
	}
	return list, nil
}

// Transactor does several things to entities at once.
type Transactor interface {
	// Update calls fn with entities as they are at one moment, and makes what fn
	// puts and deletes true when it returns nil. Nobody writes in between. fn may
	// be called again, should a transaction have to start over, so it changes
	// nothing but what it is given; it does not call the store otherwise, and must
	// not keep tx.
	Update(ctx context.Context, fn func(tx Entities) error) error
}

// Code keeps the code of actions, for as long as an action has it.
type Code interface {
	// ReadCode gives the code with this digest. It belongs to the caller.
	ReadCode(ctx context.Context, digest whisk.Digest) ([]byte, error)
}

// Activations keeps activation records.
type Activations interface {
	// Append stores records, all or none, and returns when they are durable. It
	// ends the promises of their ids. A record with an id that is there already is
	// not stored again, and no error. When ctx ends first, they may be stored all
	// the same. It keeps no part of them.
	Append(ctx context.Context, records ...*whisk.Activation) error
	// Activation gives a record of a namespace.
	Activation(ctx context.Context, ns whisk.EntityName, id whisk.ActivationID) (*whisk.Activation, error)
	// ListActivations gives the records that q selects, the last started first.
	ListActivations(ctx context.Context, q ActivationQuery) ([]*whisk.Activation, error)
	// ListSummaries does the same for what lists show of them, and is faster.
	ListSummaries(ctx context.Context, q ActivationQuery) ([]*whisk.ActivationSummary, error)
	// CountActivations gives how many q selects; Limit does not matter, Skip is
	// subtracted, but there are never fewer than none.
	CountActivations(ctx context.Context, q ActivationQuery) (int, error)
	// Retain removes the oldest records until keep holds.
	Retain(ctx context.Context, keep Retention) (removed int, err error)
}

// ActivationQuery selects records of one namespace.
type ActivationQuery struct {
	Namespace whisk.EntityName
	// Name is "action" or "pkg/action" as in whisk.Activation.FilterName; "" is all.
	Name string
	// Since and Upto bound the start, themselves included; 0 is no bound.
	Since, Upto whisk.Timestamp
	Page
}

// Retention says which records are kept; the zero value keeps all.
type Retention struct {
	// Since is the start of the oldest record that is kept; 0 is no bound.
	Since whisk.Timestamp
	// Count is how many are kept in all; 0 is no bound.
	Count int
}

// Journal keeps the promises to run.
type Journal interface {
	// Accept stores promises, all or none, and returns when they are durable. One
	// whose record is there already is not stored.
	Accept(ctx context.Context, promises ...*Promise) error
	// Pending gives the promises without a record, the oldest first. They may end
	// while they are read.
	Pending(ctx context.Context) iter.Seq2[*Promise, error]
}

// Promise is an activation that a caller was told will happen: all that it takes
// to run it after a restart, or to record that it was not run. The caller's key
// is not part of it, since keys are not stored: an action that wants one cannot
// be run after a restart.
type Promise struct {
	ID        whisk.ActivationID       `json:"id"`
	Subject   string                   `json:"subject"`
	Namespace whisk.EntityName         `json:"namespace"` // of who invoked
	Action    whisk.FullyQualifiedName `json:"action"`    // bindings resolved
	Version   whisk.SemVer             `json:"version"`
	// Accepted is when.
	Accepted time.Time `json:"accepted"`
	// Begun says that it may have begun before it was accepted, as it has when a
	// blocking invocation takes longer than its caller waits. It must not be run
	// again.
	Begun bool `json:"begun,omitempty"`
	// Arguments is the JSON object that the action gets, merged with parameters.
	Arguments []byte `json:"-"`
	// Annotations are those that the record will have, as far as they are known.
	Annotations whisk.Parameters   `json:"annotations"`
	Cause       whisk.ActivationID `json:"cause,omitempty"`
	// Transaction is the id of the request.
	Transaction string `json:"transaction,omitempty"`
}

// Subjects keeps who may do anything at all.
type Subjects interface {
	// Authenticate gives the identity of a key. It takes as long for a wrong
	// secret as for the right one. The error is ErrNotFound for a wrong key,
	// ErrBlocked for that of a blocked subject. The identity must not be changed.
	Authenticate(ctx context.Context, key whisk.Key) (*whisk.Identity, error)
	// Subject gives the subject of a name, with no keys.
	Subject(ctx context.Context, name string) (*Subject, error)
	// ListSubjects gives all, by name.
	ListSubjects(ctx context.Context, p Page) ([]*Subject, error)
	// CreateSubject adds a subject without a namespace.
	CreateSubject(ctx context.Context, s *Subject) error
	// UpdateSubject replaces whether it is blocked, and its limits.
	UpdateSubject(ctx context.Context, s *Subject) error
	// DeleteSubject removes a subject and its keys. What is in its namespaces
	// stays.
	DeleteSubject(ctx context.Context, name string) error
	// SetKey gives a subject the key of a namespace, in the place of the one that
	// it had. Each namespace has one subject: of another's the error is ErrExists.
	SetKey(ctx context.Context, subject string, ns whisk.EntityName, key whisk.Key) error
	// DeleteKey takes it away.
	DeleteKey(ctx context.Context, subject string, ns whisk.EntityName) error
}

// Subject is somebody with namespaces.
type Subject struct {
	Name    string           `json:"subject"`
	Blocked bool             `json:"blocked"`
	Limits  whisk.UserLimits `json:"limits"`
	// Namespaces are those it has keys for, by name. Create and Update ignore it.
	Namespaces []Namespace `json:"namespaces"`
}

// Namespace is a namespace of a subject; the secret of its key is not known.
type Namespace struct {
	Name whisk.EntityName `json:"name"`
	UUID string           `json:"uuid"`
}
