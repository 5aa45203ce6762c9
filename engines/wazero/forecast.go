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
// share it: a guest that calls what nobody else does makes others' modules take
// longer, by no more than likelyBytes.
type forecast struct {
	mu     sync.Mutex
	called map[rewrite.Shape]int // when, in the order in which they were called first
	oldest []rewrite.Shape       // all, as a ring
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
		f.add(rewrite.Shape(binary.LittleEndian.Uint64(shape)))
	}
	return f
}

// add notes that a function was called.
func (f *forecast) add(s rewrite.Shape) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.called[s]; ok {
		return
	}
	f.count++
	f.called[s] = f.count
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
	f.mu.Lock()
	defer f.mu.Unlock()
	var likely []uint32
	size := 0
	for n := range p.Count() {
		if _, ok := f.called[p.Shape(n)]; !ok || !p.Asked(n) {
			continue
		}
		if size += p.CodeBytes(n); size > likelyBytes {
			break
		}
		likely = append(likely, n)
	}
	slices.SortStableFunc(likely, func(a, b uint32) int { return f.called[p.Shape(a)] - f.called[p.Shape(b)] })
	return likely
}
