package sandbox

// WhyNoSnapshot is nil when sandboxes start from one. The template must have
// been used.
func WhyNoSnapshot(t *Template) error { return t.start.prepared.Load().why }
