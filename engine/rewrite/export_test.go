package rewrite

// ClampTables does to a binary nothing but what Rewrite does to its tables. Without
// need for a change the result is the binary itself. The error is a [*TableError]
// if a table is larger from the start, and a [*FormatError] if the binary is
// malformed or passes the limits that web engines share.
func ClampTables(binary []byte, limit uint32) ([]byte, error) {
	sections, err := split(binary)
	if err != nil {
		return nil, err
	}
	changed := false
	for i, s := range sections {
		if s.id != tableSection {
			continue
		}
		content, err := clampTables(s.content, limit)
		if err != nil {
			return nil, err
		}
		if content != nil {
			changed, sections[i].content = true, content
		}
	}
	if !changed {
		return binary, nil
	}
	return join(sections), nil
}

func join(sections []section) []byte {
	out := []byte(header)
	for _, s := range sections {
		out = appendU32(append(out, s.id), uint32(len(s.content)))
		out = append(out, s.content...)
	}
	return out
}

// Wait returns when a preview has seen all that there is to see.
func (p *Preview) Wait() {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
}

// Seen is how many functions a preview knows all of.
func (p *Preview) Seen() (n int) {
	for i := range p.bodies {
		if p.bodies[i].scanned {
			n++
		}
	}
	return n
}
