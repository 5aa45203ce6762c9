package sandbox

import "context"

// WhyNoSnapshot is nil when sandboxes start from one of a guest that has started.
// The template must have been used.
func WhyNoSnapshot(t *Template) error { return t.start.prepared.Load().why }

// PutsBack tells whether instances are used for one activation after the other.
func PutsBack(t *Template) bool { return t.start.prepared.Load().snapshot != nil }

// Rough tells whether sandboxes begin where a guest has still to rehearse.
func Rough(t *Template) bool { return t.start.prepared.Load().rough }

// WhyNotForked is nil when the sandboxes of a template that was to be forked are.
func WhyNotForked(t *Template) error { return t.forked.prepared.Load().why }

// Forks tells whether the sandboxes of a template are to be forked.
func Forks(t *Template) bool { return t.forked != nil }

// MaxForks is how many forks a program has at most.
const MaxForks = maxForks

// CloseProgram closes what a template is one of.
func CloseProgram(t *Template) error { return t.start.program.Close(context.Background()) }
