package controller

import (
	"context"
	"errors"
	"fmt"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

func (c *Controller) listActions(r *request) error {
	return listOwn(r, (*whisk.Action).Summary)
}

// listPackageActions lists what is in a package, or in the one that it stands for.
func (c *Controller) listPackageActions(r *request) error {
	pkg, err := r.name("package")
	if err != nil {
		return err
	}
	name := packageName(r.namespace, pkg)
	found, err := findPackage(r.ctx(), c.config.Store, r.caller.Identity, name)
	if err != nil {
		return asked(err, name)
	}
	return list(r, store.Query{Path: contentPath(found.FullName())}, (*whisk.Action).Summary)
}

// contentPath is where the actions of a package live.
func contentPath(pkg whisk.FullyQualifiedName) whisk.EntityPath {
	return whisk.PackagePath(pkg.Path.Namespace(), pkg.Name)
}

// getAction answers with an action and the parameters that it would be invoked
// with.
func (c *Controller) getAction(r *request) error {
	name, err := r.fullName()
	if err != nil {
		return err
	}
	whole, err := r.flag("code", yes)
	if err != nil {
		return err
	}
	read := c.readAction
	if whole {
		read = c.readWholeAction
	}
	shown, err := read(r, name)
	if err != nil {
		return err
	}
	return r.ok(shown)
}

func (c *Controller) readAction(r *request, name whisk.FullyQualifiedName) (*whisk.Action, error) {
	found, err := findAction(r.ctx(), c.config.Store, r.caller.Identity, name)
	if err != nil {
		return nil, err
	}
	shown := *found.action
	shown.Parameters = found.parameters()
	if found.through != nil {
		shown.Binding = &found.through.Binding
	}
	return &shown, nil
}

// readWholeAction reads an action with its code, which may be gone by the time it
// is asked for: then there is another, or no action any more.
func (c *Controller) readWholeAction(r *request, name whisk.FullyQualifiedName) (*whisk.Action, error) {
	const patience = 10
	for range patience {
		a, err := c.readAction(r, name)
		if err != nil {
			return nil, err
		}
		whole, err := c.withCode(r.ctx(), a)
		if !errors.Is(err, store.ErrNotFound) {
			return whole, err
		}
	}
	return nil, store.ErrConflict
}

// withCode is an action with its code, if it has any.
func (c *Controller) withCode(ctx context.Context, a *whisk.Action) (*whisk.Action, error) {
	if a.Exec.Code != nil || a.Exec.Digest == (whisk.Digest{}) {
		return a, nil
	}
	whole := *a
	var err error
	if whole.Exec.Code, err = c.config.Store.ReadCode(ctx, a.Exec.Digest); err != nil {
		return nil, fmt.Errorf("read code of action: %w", err)
	}
	return &whole, nil
}

// putAction creates or updates an action. Its code is compiled behind the answer.
func (c *Controller) putAction(r *request) error {
	stored, err := c.storeAction(r)
	if err != nil {
		return err
	}
	c.config.Invoker.Precompile(stored)
	whole, err := c.withCode(r.ctx(), stored)
	if errors.Is(err, store.ErrNotFound) { // another update was as fast as this answer
		return r.ok(stored)
	}
	if err != nil {
		return err
	}
	return r.ok(whole)
}

// storeAction receives an action and stores it. By the time of the answer there is
// room for the next upload.
func (c *Controller) storeAction(r *request) (*whisk.Action, error) {
	w, err := newWrite(r, func(ctx context.Context, tx store.Entities, next *whisk.Action) error {
		return c.checkAction(ctx, tx, r.caller.Identity, next)
	})
	if err != nil {
		return nil, err
	}
	body, release, err := c.readActionPut(r)
	if err != nil {
		return nil, err
	}
	defer release()
	w.body = body
	return w.do(r.ctx(), c.config.Store)
}

// readActionPut reads the body of a PUT: JSON as OpenWhisk wants it, or a module
// as it is.
func (c *Controller) readActionPut(r *request) (*whisk.ActionPut, func(), error) {
	if mediaType(r.Request()) != typeWasm {
		body := &whisk.ActionPut{}
		if err := r.decode(body); err != nil {
			return nil, nil, err
		}
		return body, func() {}, settleExec(body.Exec)
	}
	code, release, err := c.bodies.receive(r, whisk.MaxCodeBytes)
	if err != nil {
		return nil, nil, err
	}
	exec := whisk.NewExec(whisk.KindWasm, code)
	return &whisk.ActionPut{Exec: &exec}, release, nil
}

// settleExec puts the kind that a family stands for in its place, and refuses
// what cannot be run later.
func settleExec(exec *whisk.Exec) error {
	if exec == nil {
		return nil
	}
	kind, err := resolveKind(exec.Kind)
	if err != nil {
		return err
	}
	exec.Kind = kind
	return checkUpload(exec)
}

// checkAction refuses what may not be stored.
func (c *Controller) checkAction(ctx context.Context, tx store.Entities, who *whisk.Identity, a *whisk.Action) error {
	if err := checkContainer(ctx, tx, a.FullName()); err != nil {
		return err
	}
	if err := checkKind(who, a.Exec.Kind); err != nil {
		return err
	}
	if err := boundsOf(c.config.Bounds, who.Limits).Check(a.Limits); err != nil {
		return err
	}
	if err := checkInstances(a.Limits.Instances, c.throttle.Rates(who).ConcurrentInvocations); err != nil {
		return err
	}
	if a.Exec.Kind == whisk.KindSequence {
		return checkSequence(ctx, tx, who, a)
	}
	return nil
}

// deleteAction answers with what was deleted, but for its code: nobody reads
// megabytes of what is gone.
func (c *Controller) deleteAction(r *request) error {
	removed, err := remove[*whisk.Action](r, checkContainer)
	if err != nil {
		return err
	}
	return r.ok(removed)
}
