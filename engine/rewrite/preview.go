package rewrite

import "sync"

// A Preview makes the first pass over the functions of a binary while that still
// arrives, and while the rest of it is decoded. What it cannot make sense of it leaves
// to the pass over the whole, see Options.Preview.
type Preview struct {
	mu    sync.Mutex
	grown sync.Cond
	there []byte // what has arrived
	ended bool
	done  chan struct{} // closed when it has come to an end; nil before it has begun

	// Of the goroutine that runs until then.
	stream  stream
	head    *module // without its code; nil as long as not all of that is there
	count   uint32  // of its functions
	scanner scanner
	bodies  []body // as many as it came to; nil where scanning panicked
}

// NewPreview returns a preview that nothing was shown yet.
func NewPreview() *Preview {
	p := &Preview{}
	p.grown.L, p.stream.p = &p.mu, p
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
	if p.done == nil {
		p.start()
	}
	p.grown.Signal()
}

// start has it run, under the lock.
func (p *Preview) start() {
	p.done = make(chan struct{})
	go p.run(p.done)
}

// End has it look at nothing more.
func (p *Preview) End() { p.end() }

func (p *Preview) end() (done <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.grown.Signal()
	return p.done
}

// await has it end, and returns when it has.
func (p *Preview) await() {
	if done := p.end(); done != nil {
		<-done
	}
}

// resume has it look on where it ended, if that was in this binary.
func (p *Preview) resume(binary []byte) {
	p.await()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head != nil && len(p.there) == len(binary) && &p.there[0] == &binary[0] {
		p.ended = false
		p.start()
	}
}

// adopt gives bodies what the preview has learned of them, and the findings in those.
// It keeps nothing: once is enough.
func (p *Preview) adopt(bodies []body) findings {
	if p == nil {
		return findings{}
	}
	p.await()
	seen, found := p.bodies, p.scanner.found
	p.there, p.head, p.bodies, p.scanner = nil, nil, nil, scanner{}
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
func (p *Preview) run(done chan<- struct{}) {
	defer close(done)
	defer func() {
		if recover() != nil {
			p.head, p.bodies, p.scanner = nil, nil, scanner{}
		}
	}()
	if p.head == nil && !p.begin() {
		return
	}
	for len(p.bodies) < int(p.count) {
		if !p.scan() {
			return
		}
	}
}

// begin comes to the first function.
func (p *Preview) begin() bool {
	m := p.stream.head()
	if m == nil {
		return false
	}
	if p.count = p.stream.u32(); int(p.count) != len(m.funcs)-int(m.imports()) {
		return false
	}
	p.head, p.scanner.m, p.scanner.graph = m, m, newGraph(m)
	p.bodies = make([]body, 0, p.count)
	return true
}

// scan makes the first pass over one function more, if that is there.
func (p *Preview) scan() bool {
	begin := p.stream.pos
	content := p.stream.take(int(p.stream.u32()))
	if content == nil || len(content) > maxBody {
		p.stream.pos = begin
		return false
	}
	b := body{reader: reader{buf: content, base: p.stream.pos - len(content)}}
	if locals := b.reader; locals.walkLocals() {
		p.scanner.scan(&b, p.head.imports()+uint32(len(p.bodies)))
	}
	p.bodies = append(p.bodies, b)
	return true
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
