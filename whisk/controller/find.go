package controller

import (
	"context"
	"errors"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/store"
)

// reached is an action as somebody gets at it.
type reached struct {
	action   *whisk.Action // as it is stored
	revision store.Revision
	// inherited are the parameters of its package, and of the binding.
	inherited whisk.Parameters
	// through is the package that stands for the action's; nil for none.
	through *whisk.Package
}

// parameters are those that the action has, all merged.
func (a *reached) parameters() whisk.Parameters {
	if len(a.inherited) == 0 {
		return a.action.Parameters
	}
	return a.inherited.Merge(a.action.Parameters)
}

// binding is the name of the package that it was reached through, "" for none.
func (a *reached) binding() string {
	if a.through == nil {
		return ""
	}
	return a.through.FullName().ID()
}

// findAction looks for an action that somebody may see and invoke.
func findAction(ctx context.Context, s store.Entities, who *whisk.Identity, name whisk.FullyQualifiedName) (*reached, error) {
	pkg := name.Path.Package()
	if pkg == "" {
		if !entitlement.Owns(who, name.Path) {
			return nil, entitlement.Forbidden(name.ID())
		}
		action, rev, err := store.Get[*whisk.Action](ctx, s, name)
		return &reached{action: action, revision: rev}, err
	}
	p, err := findPackage(ctx, s, who, packageName(name.Path.Namespace(), pkg))
	if err != nil {
		return nil, asked(err, name)
	}
	found := &reached{inherited: p.parameters(), through: p.binding}
	found.action, found.revision, err = store.Get[*whisk.Action](ctx, s, whisk.FullyQualifiedName{Path: contentPath(p.FullName()), Name: name.Name})
	return found, err
}

// checkAccess wants the package of an action to be there for somebody, or its
// namespace to be theirs; whether there is such an action is another question.
func checkAccess(ctx context.Context, s store.Entities, who *whisk.Identity, name whisk.FullyQualifiedName) error {
	if pkg := name.Path.Package(); pkg != "" {
		_, err := findPackage(ctx, s, who, packageName(name.Path.Namespace(), pkg))
		return asked(err, name)
	}
	if !entitlement.Owns(who, name.Path) {
		return entitlement.Forbidden(name.ID())
	}
	return nil
}

// asked has a refusal name what was asked for, not what was met on the way to it.
func asked(err error, name whisk.FullyQualifiedName) error {
	if isForbidden(err) {
		return entitlement.Forbidden(name.ID())
	}
	return err
}

func isForbidden(err error) bool {
	refused, _ := errors.AsType[*whisk.Error](err)
	return refused != nil && refused.Kind == whisk.Forbidden
}

func packageName(ns, pkg whisk.EntityName) whisk.FullyQualifiedName {
	return whisk.FullyQualifiedName{Path: whisk.EntityPath(ns), Name: pkg}
}

// reachedPackage is a package as somebody gets at it.
type reachedPackage struct {
	*whisk.Package                // the one that has actions
	binding        *whisk.Package // the one that stands for it; nil for none
}

func (p *reachedPackage) parameters() whisk.Parameters {
	if p.binding == nil {
		return p.Parameters
	}
	return p.Parameters.Merge(p.binding.Parameters)
}

// findPackage looks for a package that somebody may read, and for the one that
// it stands for.
func findPackage(ctx context.Context, s store.Entities, who *whisk.Identity, name whisk.FullyQualifiedName) (*reachedPackage, error) {
	named, err := readablePackage(ctx, s, who, name)
	if err != nil || !named.Bound() {
		return &reachedPackage{Package: named}, err
	}
	target, err := readablePackage(ctx, s, who, named.Binding.FullName())
	if err == nil && target.Bound() {
		err = whisk.Errorf(whisk.Unprocessable, "Package binding '%s' contains a circular reference.", named.FullName().ID())
	}
	return &reachedPackage{Package: target, binding: named}, err
}

// readablePackage gives a package. Others than its owner do not learn whether
// there is one that they may not read.
func readablePackage(ctx context.Context, s store.Entities, who *whisk.Identity, name whisk.FullyQualifiedName) (*whisk.Package, error) {
	p, _, err := store.Get[*whisk.Package](ctx, s, name)
	refused := errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrOtherKind)
	switch {
	case refused && !entitlement.Owns(who, name.Path):
		return nil, entitlement.Forbidden(name.ID())
	case err != nil:
		return nil, err
	case !entitlement.MayRead(who, p):
		return nil, entitlement.Forbidden(name.ID())
	}
	return p, nil
}

// checkContainer wants the package of a name that is to be written to be one that
// has actions of its own.
func checkContainer(ctx context.Context, s store.Entities, name whisk.FullyQualifiedName) error {
	pkg := name.Path.Package()
	if pkg == "" {
		return nil
	}
	p, _, err := store.Get[*whisk.Package](ctx, s, packageName(name.Path.Namespace(), pkg))
	if err == nil && p.Bound() {
		err = whisk.Errorf(whisk.BadRequest, textOnBinding)
	}
	return err
}
