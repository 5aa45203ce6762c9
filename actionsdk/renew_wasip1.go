package actionsdk

import (
	"context"
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
	reactor.input = make([]byte, inputRoom)
	if reactor.beforehand != nil {
		tryOut(reactor.beforehand)
	}
	reactor.generator = findGenerator()
	if !reactor.generator.renewable() {
		panic("actionsdk: this version of Go keeps its random numbers elsewhere")
	}
	reactor.environ, _ = hostEnviron()
}

// inputRoom is for inputs that need no memory of their own.
const inputRoom = 4 << 10

// rehearseRun does the rest of a run that is not the author's, and leaves nothing
// of it but room: maps that have grown, and memory of the sizes that will be
// needed. Making such room costs each run more than the rest of its environment.
// A run needs none of it: a host may leave it out, as it does for a guest that is
// interpreted until it has been compiled.
//
//go:wasmexport ow_rehearse
func rehearseRun() {
	makeRoom()
	reactor.entries = rehearseEnviron()
	_, cancel := newContext(usualEnviron)
	cancel()
}

// tryOut takes no harm from types of the author's that cannot cope with an empty
// event.
func tryOut(work func()) {
	defer func() { _ = recover() }()
	work()
}

// makeRoom allocates once in every size up to a few hundred bytes, with pointers
// and without: the allocator keeps a span at hand for each from then on, and
// preparing one costs a run a microsecond.
func makeRoom() {
	for size := 8; size <= 256; size += 8 {
		reactor.room.bytes, reactor.room.pointers = make([]byte, size), make([]*byte, size/8)
	}
	reactor.room.bytes, reactor.room.pointers = nil, nil
}

// renew makes a run differ from all others that begin with the same snapshot.
func renew() {
	if reactor.generator == nil {
		return
	}
	reactor.generator.reseed(entropy())
	env, ok := hostEnviron()
	if !ok || env == reactor.environ {
		return
	}
	for name := range reactor.environ.all {
		os.Unsetenv(name)
	}
	reactor.entries.set(env)
	// Whatever runs from now on may move them.
	reactor.environ, reactor.entries = env, nil
}

func activationContext() (Context, context.CancelFunc) {
	if reactor.generator == nil {
		return newContext(ownEnviron())
	}
	return newContext(reactor.environ)
}

// hostEnviron is the environment as the host gives it now.
func hostEnviron() (_ environ, ok bool) {
	var count, size uint32
	if environSizesGet(&count, &size) != 0 || count > 1<<16 || size > 1<<24 {
		return "", false
	}
	if count == 0 {
		return "", true
	}
	raw := make([]byte, size)
	entries := make([]uint32, count)
	ok = environGet(&entries[0], &raw[0]) == 0
	return environ(unsafe.String(&raw[0], size)), ok
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
// variables of the runtime: they lie below the heap, near ours.
func findGenerator() *generator {
	heap := uintptr(unsafe.Pointer(new([64]uint64)))
	ours := uintptr(unsafe.Pointer(&reactor)) &^ 7
	// The second attempt is for a buffer that was just being refilled.
	for range 2 {
		drawn := [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}
		for at := range outward(ours, heap-unsafe.Sizeof(generator{})) {
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
