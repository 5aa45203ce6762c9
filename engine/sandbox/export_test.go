package sandbox

// WhyNoSnapshot is nil when sandboxes start from one of a guest that has started.
// The template must have been used.
func WhyNoSnapshot(t *Template) error { return t.start.prepared.Load().why }

// PutsBack tells whether instances are used for one activation after the other.
func PutsBack(t *Template) bool { return t.start.prepared.Load().snapshot != nil }
