package rewrite

import "sync"

// A Preview makes the first pass over the functions of a binary while that still
// arrives, as far as it gets by then. What it cannot make sense of it leaves to the
// pass over the whole, see Options.Preview.
type Preview struct {
	mu    sync.Mutex
	grown sync.Cond
	there []byte // what has arrived
	ended bool

	begin  sync.Once
	done   chan struct{}
	bodies []body // as many as it came to; nil where scanning panicked
	found  findings
}

// NewPreview returns a preview that nothing was shown yet.
func NewPreview() *Preview {
	p := &Preview{done: make(chan struct{})}
	p.grown.L = &p.mu
	return p
}

// Show has it look at what has arrived, from the beginning: at each time more of the
// same memory, which stays as it is.
func (p *Preview) Show(arrived []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended || len(arrived) == 0:
		return
	case len(p.there) > 0 && &arrived[0] != &p.there[0]:
		p.ended = true // it has moved
	default:
		p.there = arrived
	}
	p.begin.Do(func() { go p.run() })
	p.grown.Signal()
}

// End has it look at nothing more.
func (p *Preview) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.begin.Do(func() { close(p.done) })
	p.grown.Signal()
}

// adopt gives bodies what the preview has learned of them, and the findings in those.
// It keeps nothing: once is enough.
func (p *Preview) adopt(bodies []body) findings {
	if p == nil {
		return findings{}
	}
	p.End()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, found := p.bodies, p.found
	p.there, p.bodies, p.found = nil, nil, findings{}
	if !begins(bodies, seen) {
		return findings{}
	}
	for i := range seen {
		if seen[i].scanned {
			bodies[i] = seen[i]
		}
	}
	return found
}

// begins tells whether the first of bodies are those that were seen, as far as
// anything is known of them.
func begins(bodies, seen []body) bool {
	for i := range seen {
		if seen[i].scanned && (i >= len(bodies) || !seen[i].sameAs(&bodies[i].reader)) {
			return false
		}
	}
	return true
}

// sameAs tells whether two readers are of the same bytes of the same binary, not only
// of equal ones.
func (r *reader) sameAs(other *reader) bool {
	return r.base == other.base && len(r.buf) == len(other.buf) && (len(r.buf) == 0 || &r.buf[0] == &other.buf[0])
}

// wait gives the first n bytes once they are there, nil if nothing more is to be
// looked at.
func (p *Preview) wait(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended && len(p.there) < n {
		p.grown.Wait()
	}
	if p.ended {
		return nil
	}
	return p.there[:n]
}

// run looks at functions until the end. A binary that the scanner cannot cope with
// must not end the process: the pass over the whole meets it again where the caller
// is prepared for that.
func (p *Preview) run() {
	defer close(p.done)
	defer func() {
		if recover() != nil {
			p.bodies, p.found = nil, findings{}
		}
	}()
	s := stream{p: p}
	if m := s.head(); m != nil {
		p.scan(&s, m)
	}
}

// scan makes the first pass over one function after another.
func (p *Preview) scan(s *stream, m *module) {
	n := s.u32()
	if int(n) != len(m.funcs)-int(m.imports()) {
		return
	}
	var sc scanner
	sc.m, sc.graph = m, newGraph(m)
	defer func() { p.found = sc.found }()
	p.bodies = make([]body, 0, n)
	for f := range n {
		content := s.take(int(s.u32()))
		if content == nil || len(content) > maxBody {
			return
		}
		b := body{reader: reader{buf: content, base: s.pos - len(content)}}
		if locals := b.reader; locals.walkLocals() {
			sc.scan(&b, m.typeOf(m.imports()+f))
		}
		p.bodies = append(p.bodies, b)
	}
}

// A stream reads what a preview is shown, and waits for it. At the end it reads zeros.
type stream struct {
	p   *Preview
	pos int
}

// head gives the module without its code, with the stream at the beginning of that,
// or nil.
func (s *stream) head() *module {
	s.take(len(header))
	for {
		sections := s.pos
		switch id := s.take(1); {
		case id == nil || id[0] == dataSection:
			return nil
		case id[0] == codeSection:
			s.u32()
			m, err := decode(s.p.wait(sections))
			if err != nil {
				return nil
			}
			return m
		}
		if s.take(int(s.u32())) == nil {
			return nil
		}
	}
}

// take gives the next n bytes, nil at the end.
func (s *stream) take(n int) []byte {
	there := s.p.wait(s.pos + n)
	if there == nil {
		return nil
	}
	s.pos += n
	return there[s.pos-n : s.pos : s.pos]
}

// u32 reads an unsigned number.
func (s *stream) u32() uint32 {
	for n := 1; n <= 5; n++ {
		there := s.p.wait(s.pos + n)
		if there == nil {
			return 0
		}
		if there[s.pos+n-1] < 0x80 {
			r := reader{buf: there[s.pos:]}
			s.pos += n
			return r.u32()
		}
	}
	return 0
}
