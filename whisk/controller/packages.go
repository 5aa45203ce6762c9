package controller

import (
	"context"
	"errors"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// listPackages shows everything to its owner, and to others what is published.
func (c *Controller) listPackages(r *request) error {
	q := store.Query{Path: whisk.EntityPath(r.namespace), Public: r.namespace != r.caller.Namespace}
	return list(r, q, func(p *whisk.Package) *whisk.Package { return p })
}

// getPackage answers with a package and what is in it; of a binding, with what is
// in the package that it stands for.
func (c *Controller) getPackage(r *request) error {
	name, err := r.fullName()
	if err != nil {
		return err
	}
	found, err := findPackage(r.ctx(), c.config.Store, r.caller.Identity, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return whisk.Errorf(whisk.NotFound, "The requested resource '%s' does not exist.", name.ID())
	case err != nil:
		return asked(err, name)
	}
	actions, err := store.List[*whisk.Action](r.ctx(), c.config.Store, store.Query{Path: contentPath(found.FullName())})
	if err != nil {
		return err
	}
	shown := *found.Package
	if found.binding != nil {
		shown = *found.binding
	}
	shown.Parameters = found.parameters()
	return r.ok(shown.WithContents(actions))
}

func (c *Controller) putPackage(r *request) error {
	stored, err := put(r, &whisk.PackagePut{}, func(ctx context.Context, tx store.Entities, next *whisk.Package) error {
		return checkBinding(ctx, tx, r.caller.Identity, next)
	})
	if err != nil {
		return err
	}
	return r.ok(stored)
}

// checkBinding wants a package that stands for another to stand for one that is
// there, that may be read, and that has actions of its own.
func checkBinding(ctx context.Context, tx store.Entities, who *whisk.Identity, p *whisk.Package) error {
	if !p.Bound() {
		return nil
	}
	name := p.Binding.FullName()
	target, err := readablePackage(ctx, tx, who, name)
	switch {
	case errors.Is(err, store.ErrOtherKind):
		return whisk.Errorf(whisk.Conflict, "Cannot bind to a resource that is not a package.")
	case errors.Is(err, store.ErrNotFound):
		return whisk.Errorf(whisk.BadRequest, "Binding references a package that does not exist.")
	case err != nil:
		return err
	case target.Bound():
		return whisk.Errorf(whisk.BadRequest, "Cannot bind to another package binding.")
	}
	return nil
}

func (c *Controller) deletePackage(r *request) error {
	force, err := r.flag("force", no)
	if err != nil {
		return err
	}
	before := checkEmpty
	if force {
		before = removeContents
	}
	removed, err := remove[*whisk.Package](r, before)
	if err != nil {
		return err
	}
	return r.ok(removed)
}

func checkEmpty(ctx context.Context, tx store.Entities, pkg whisk.FullyQualifiedName) error {
	n, err := tx.Count(ctx, store.Query{Kind: whisk.ActionEntity, Path: contentPath(pkg)})
	if err != nil || n == 0 {
		return err
	}
	entities := "entities"
	if n == 1 {
		entities = "entity"
	}
	return whisk.Errorf(whisk.Conflict, "Package not empty (contains %d %s). Set force param or delete package contents.", n, entities)
}

func removeContents(ctx context.Context, tx store.Entities, pkg whisk.FullyQualifiedName) error {
	actions, err := store.List[*whisk.Action](ctx, tx, store.Query{Path: contentPath(pkg)})
	if err != nil {
		return err
	}
	for _, a := range actions {
		_, rev, err := tx.Find(ctx, a.FullName())
		if err == nil {
			err = tx.Delete(ctx, a.FullName(), rev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
