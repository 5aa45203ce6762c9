package wazero

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"slices"
	"sync"

	"wasmwhisk/engine/rewrite"
)

// forecast tells which functions of a module that nobody has seen will probably
// be called: those like others that were. Most of a module is its language's runtime and
// library, and whatever of them starts one guest starts the next.
//
// What it tells decides how soon functions are there, not what they do. Tenants
// share it: a guest that calls everything makes others' modules take longer, by what
// likelyBytes take, and one that calls what nobody else does has it forget what others
// have called beyond what was known from the start.
type forecast struct {
	mu     sync.Mutex
	called map[rewrite.Shape]int // when, in the order in which they were called first
	oldest []rewrite.Shape       // all but those known from the start, as a ring
	next   int                   // to be forgotten
	count  int
}

const (
	// forecastShapes bounds what is remembered: some ten languages.
	forecastShapes = 8192

	// likelyBytes bounds the code of one module that is made ahead.
	likelyBytes = 1 << 20
)

// knownShapes is the version of Go whose compiler made the examples, a line feed, and
// the shapes of the functions that those call from their start to their answer, in
// that order and in eight bytes each. TestForecast writes it.
//
//go:embed forecast.bin
var knownShapes []byte

// newForecast knows what guests in Go call.
func newForecast() *forecast {
	f := &forecast{called: map[rewrite.Shape]int{}}
	_, shapes, _ := bytes.Cut(knownShapes, []byte("\n"))
	for shape := range slices.Chunk(shapes, 8) {
		f.know(rewrite.Shape(binary.LittleEndian.Uint64(shape)))
	}
	return f
}

// know tells whether it is news that a function was called.
func (f *forecast) know(s rewrite.Shape) bool {
	if _, ok := f.called[s]; ok {
		return false
	}
	f.count++
	f.called[s] = f.count
	return true
}

// add notes that a function was called.
func (f *forecast) add(s rewrite.Shape) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.know(s) {
		return
	}
	if len(f.oldest) < forecastShapes {
		f.oldest = append(f.oldest, s)
		return
	}
	delete(f.called, f.oldest[f.next])
	f.oldest[f.next] = s
	f.next = (f.next + 1) % forecastShapes
}

// of gives the functions of a module that will probably be called, in that order.
func (f *forecast) of(p *rewrite.Parts) []uint32 {
	likely := f.in(p)
	size := 0
	for i, n := range likely {
		if size += p.CodeBytes(n); size > likelyBytes {
			return likely[:i]
		}
	}
	return likely
}

func (f *forecast) in(p *rewrite.Parts) (likely []uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range p.Count() {
		if _, ok := f.called[p.Shape(n)]; ok && p.Asked(n) {
			likely = append(likely, n)
		}
	}
	slices.SortStableFunc(likely, func(a, b uint32) int { return f.called[p.Shape(a)] - f.called[p.Shape(b)] })
	return likely
}
