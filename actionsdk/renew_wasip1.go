package actionsdk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"unsafe"
)

// A sandbox may begin with a snapshot of this module after its start-up, which
// many sandboxes have in common. What must not be in common is taken anew at the
// beginning of each run: the environment, and the state of Go's own generator,
// which is behind math/rand and the order of maps. Exporting ow_warm_up tells
// the host so.

// warmUp does once, before the snapshot, what need not be done in each run. If
// the generator cannot be renewed it traps, and there is no snapshot.
//
//go:wasmexport ow_warm_up
func warmUp() {
	register()
	if reactor.prepare != nil {
		reactor.prepare()
	}
	reactor.generator = findGenerator()
	if !reactor.generator.renewable() {
		panic("actionsdk: this version of Go keeps its random numbers elsewhere")
	}
	reactor.environ, _ = environ()
}

// renew makes a run differ from all others that begin with the same snapshot.
func renew() {
	if reactor.generator == nil {
		return
	}
	reactor.generator.reseed(entropy())
	raw, ok := environ()
	if !ok || bytes.Equal(raw, reactor.environ) {
		return
	}
	if len(reactor.environ) > 0 {
		os.Clearenv()
	}
	reactor.environ = raw
	setEnviron(raw)
}

// environ is the environment as the host gives it now: entries that end with a
// zero byte.
func environ() (raw []byte, ok bool) {
	var count, size uint32
	if environSizesGet(&count, &size) != 0 || count > 1<<16 || size > 1<<24 {
		return nil, false
	}
	if count == 0 {
		return nil, true
	}
	raw = make([]byte, size)
	entries := make([]uint32, count)
	return raw, environGet(&entries[0], &raw[0]) == 0
}

func setEnviron(raw []byte) {
	for entry := range bytes.SplitSeq(raw, []byte{0}) {
		if name, value, ok := bytes.Cut(entry, []byte{'='}); ok {
			os.Setenv(string(name), string(value))
		}
	}
}

func entropy() (seed [4]uint64) {
	randomGet(unsafe.Pointer(&seed), uint32(unsafe.Sizeof(seed)))
	return seed
}

// generator is the state of the runtime's ChaCha8 generator: on this platform
// there is one. It is internal/chacha8rand.State, whose layout is checked before
// it is relied on.
type generator struct {
	buf     [32]uint64
	seed    [4]uint64
	i, n, c uint32
}

// reseed makes the next number the first of another sequence.
func (g *generator) reseed(seed [4]uint64) { g.seed, g.i, g.n, g.c = seed, 32, 32, 0 }

// findGenerator finds the state by the numbers that come out of it, among the
// variables of the runtime: they lie below the heap.
func findGenerator() *generator {
	heap := uintptr(unsafe.Pointer(new([64]uint64)))
	// The second attempt is for a buffer that was just being refilled.
	for range 2 {
		drawn := [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}
		for at := uintptr(4096); at+unsafe.Sizeof(generator{}) < heap; at += 8 {
			if *word(at) == drawn[0] && *word(at + 8) == drawn[1] && *word(at + 16) == drawn[2] {
				if g := generatorAround(at); g != nil {
					return g
				}
			}
		}
	}
	return nil
}

// word is a pointer to what lies at an address of the linear memory.
func word(at uintptr) *uint64 { return (*uint64)(unsafe.Add(nil, at)) }

// generatorAround is the state in which three numbers at an address are the last
// that were used.
func generatorAround(at uintptr) *generator {
	for used := range uintptr(30) {
		g := (*generator)(unsafe.Add(nil, at-8*used))
		if g.i == uint32(used)+3 && g.n <= 32 && g.i <= g.n {
			return g
		}
	}
	return nil
}

// renewable tells whether setting a seed does what it should: the same numbers
// for the same seed, and others for another.
func (g *generator) renewable() bool {
	if g == nil {
		return false
	}
	numbers := func(seed [4]uint64) [2]uint64 {
		g.reseed(seed)
		return [2]uint64{rand.Uint64(), rand.Uint64()}
	}
	one, again, other := numbers([4]uint64{1}), numbers([4]uint64{1}), numbers([4]uint64{2})
	g.reseed(entropy())
	return one == again && one != other
}

//go:wasmimport wasi_snapshot_preview1 environ_sizes_get
//go:noescape
func environSizesGet(count, size *uint32) uint32

//go:wasmimport wasi_snapshot_preview1 environ_get
//go:noescape
func environGet(entries *uint32, raw *byte) uint32

//go:wasmimport wasi_snapshot_preview1 random_get
//go:noescape
func randomGet(p unsafe.Pointer, n uint32) uint32
