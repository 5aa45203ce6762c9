// Package entitlement says who may do what, and how often: the owner of a
// namespace everything in it, others what is in its published packages; and
// every namespace so many invocations and fires of triggers in a minute, and so
// many activations at once.
//
// The controller asks it before it does anything for anybody. It keeps its
// counts in memory: they begin anew with the process.
package entitlement

import (
	"slices"

	"wasmwhisk/whisk"
)

// Owns reports whether a namespace is that of who asks.
func Owns(who *whisk.Identity, path whisk.EntityPath) bool {
	return path.Namespace() == who.Namespace
}

// MayRead reports whether somebody may see a package, and invoke what is in it.
// Whether the package that it stands for may be read is another question.
func MayRead(who *whisk.Identity, p *whisk.Package) bool {
	return Owns(who, p.Namespace) || p.Publish && !p.Bound()
}

// Forbidden is the refusal of access to a namespace or to what has this name.
func Forbidden(name string) error {
	return whisk.Errorf(whisk.Forbidden, "The supplied authentication is not authorized to access '%s'.", name)
}

// CheckKind refuses actions of a kind that the subject may not have.
func CheckKind(who *whisk.Identity, kind whisk.Kind) error {
	allowed := who.Limits.AllowedKinds
	if allowed == nil || slices.Contains(allowed, kind) {
		return nil
	}
	return whisk.Errorf(whisk.Forbidden, "The supplied authentication is not authorized to access actions of kind '%s'.", kind)
}
