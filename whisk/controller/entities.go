package controller

import (
	"context"
	"errors"
	"time"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// creator is the body of a PUT.
type creator[E whisk.Entity] interface {
	Create(name whisk.FullyQualifiedName, now whisk.Timestamp) (E, error)
	Update(old E, now whisk.Timestamp) (E, error)
}

// write is what a PUT wants to be done.
type write[E whisk.Entity] struct {
	name      whisk.FullyQualifiedName
	body      creator[E]
	overwrite bool
	check     checker[E] // nil has everything stored
}

// checker is asked before what comes of a PUT is stored.
type checker[E whisk.Entity] func(ctx context.Context, tx store.Entities, next E) error

// newWrite reads the name and the query of a PUT, so that the body of one that may
// not be done need not come. What it gives lacks the body.
func newWrite[E whisk.Entity](r *request, check checker[E]) (*write[E], error) {
	name, err := r.ownName()
	if err != nil {
		return nil, err
	}
	overwrite, err := r.flag("overwrite", no)
	return &write[E]{name: name, overwrite: overwrite, check: check}, err
}

// put does what a PUT with a JSON body wants to be done.
func put[E whisk.Entity](r *request, body creator[E], check checker[E]) (stored E, err error) {
	w, err := newWrite(r, check)
	if err != nil {
		return stored, err
	}
	if err := r.decode(body); err != nil {
		return stored, err
	}
	w.body = body
	return w.do(r.ctx(), r.controller.config.Store)
}

// do creates or updates the entity, in one transaction with what is checked.
func (w *write[E]) do(ctx context.Context, s store.Transactor) (stored E, err error) {
	err = s.Update(ctx, func(tx store.Entities) error {
		stored, err = w.in(ctx, tx)
		return err
	})
	return stored, err
}

func (w *write[E]) in(ctx context.Context, tx store.Entities) (E, error) {
	next, rev, err := w.next(ctx, tx)
	if err != nil {
		return next, err
	}
	if w.check != nil {
		if err := w.check(ctx, tx, next); err != nil {
			return next, err
		}
	}
	_, err = tx.Put(ctx, next, rev)
	return next, err
}

// next makes the entity that is to be stored in the place of what is there.
func (w *write[E]) next(ctx context.Context, tx store.Entities) (next E, rev store.Revision, err error) {
	now := whisk.At(time.Now())
	old, rev, err := store.Get[E](ctx, tx, w.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		next, err = w.body.Create(w.name, now)
		return next, 0, err
	case err != nil:
		return next, 0, err
	case !w.overwrite:
		return next, 0, store.ErrExists
	}
	next, err = w.body.Update(old, now)
	return next, rev, err
}

// list answers with a part of a collection of the caller's namespace, each entity
// as summary shows it, or with how many there are.
func list[E whisk.Entity, S any](r *request, q store.Query, summary func(E) S) error {
	var kind E
	collection := kind.Kind().Collection()
	page, err := r.page(collection)
	if err != nil {
		return err
	}
	q.Kind, q.Page = kind.Kind(), page
	counting, err := r.flag("count", no)
	if err != nil {
		return err
	}
	s := r.controller.config.Store
	if counting {
		n, err := s.Count(r.ctx(), q)
		return r.count(collection, n, err)
	}
	found, err := store.List[E](r.ctx(), s, q)
	if err != nil {
		return err
	}
	summaries := make([]S, len(found))
	for i, e := range found {
		summaries[i] = summary(e)
	}
	return r.ok(summaries)
}

// listOwn is list for what only the owner of a namespace may see.
func listOwn[E whisk.Entity, S any](r *request, summary func(E) S) error {
	if err := r.own(); err != nil {
		return err
	}
	return list(r, store.Query{Path: whisk.EntityPath(r.namespace)}, summary)
}

// getOwn gives the entity that the path names to the owner of its namespace.
func getOwn[E whisk.Entity](r *request) (found E, err error) {
	name, err := r.ownName()
	if err != nil {
		return found, err
	}
	found, _, err = store.Get[E](r.ctx(), r.controller.config.Store, name)
	return found, err
}

// remover is asked before an entity is deleted, and makes it possible.
type remover func(ctx context.Context, tx store.Entities, name whisk.FullyQualifiedName) error

// always is for what may be deleted at any time.
func always(context.Context, store.Entities, whisk.FullyQualifiedName) error { return nil }

// remove deletes the entity that the path names, for the owner of its namespace.
func remove[E whisk.Entity](r *request, before remover) (removed E, err error) {
	name, err := r.ownName()
	if err != nil {
		return removed, err
	}
	err = r.controller.config.Store.Update(r.ctx(), func(tx store.Entities) error {
		if err := before(r.ctx(), tx, name); err != nil {
			return err
		}
		found, rev, err := store.Get[E](r.ctx(), tx, name)
		if err != nil {
			return err
		}
		removed = found
		return tx.Delete(r.ctx(), name, rev)
	})
	return removed, err
}
