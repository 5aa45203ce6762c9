package actionsdk

import (
	"iter"
	"os"
	"strings"
	"unsafe"
)

// usualEnviron stands for what a run finds in its environment.
const usualEnviron environ = "__OW_ACTIVATION_ID=00000000000000000000000000000000\x00" +
	"__OW_TRANSACTION_ID=00000000000000000000000000000000\x00" +
	"__OW_NAMESPACE=namespace\x00" +
	"__OW_ACTION_NAME=/namespace/package/action\x00" +
	"__OW_ACTION_VERSION=0.0.1\x00" +
	"__OW_API_HOST=http://localhost:3233\x00" +
	"__OW_API_KEY=00000000-0000-0000-0000-000000000000:0000000000000000\x00" +
	"__OW_DEADLINE=1700000000000\x00"

// usualNames are those of usualEnviron, in its order.
var usualNames = [...]string{
	"__OW_ACTIVATION_ID", "__OW_TRANSACTION_ID", "__OW_NAMESPACE", "__OW_ACTION_NAME",
	"__OW_ACTION_VERSION", "__OW_API_HOST", "__OW_API_KEY", "__OW_DEADLINE",
}

// entries are the places that package syscall has for usualNames: each holds
// name=value, or nothing for a variable that is not set. Its map of names leads
// there. Writing to a place takes a tenth of the time of os.Setenv.
type entries [len(usualNames)]string

// rehearseEnviron sets the usual variables and takes them back. It gives their
// places, nil if they are not to be found.
func rehearseEnviron() *entries {
	for name, value := range usualEnviron.all {
		os.Setenv(name, value)
	}
	if e := findEntries(); e != nil {
		clear(e[:])
		return e
	}
	for _, name := range usualNames {
		os.Unsetenv(name)
	}
	return nil
}

// set sets the variables of an environment, those that have a place first: one
// more may move the places.
func (e *entries) set(env environ) {
	if e == nil || e.place(env) > 0 {
		for name, value := range env.all {
			if e == nil || indexUsual(name) < 0 {
				os.Setenv(name, value)
			}
		}
	}
}

// place sets the variables that have a place, and counts the others.
func (e *entries) place(env environ) (others int) {
	for name, value := range env.all {
		if i := indexUsual(name); i >= 0 {
			e[i] = entry(name, value)
		} else {
			others++
		}
	}
	return others
}

// entry is name=value of an environ, which lies there in one piece.
func entry(name, value string) string {
	return unsafe.String(unsafe.StringData(name), len(name)+len("=")+len(value))
}

func indexUsual(name string) int {
	if !strings.HasPrefix(name, "__OW_") {
		return -1
	}
	for i, usual := range usualNames {
		if name == usual {
			return i
		}
	}
	return -1
}

// findEntries finds the places by what was just set, and tries whether writing
// to them sets a variable.
func findEntries() *entries {
	wanted := currentEntries()
	// The allocator puts what has the same size next to each other. What nothing
	// but this function sees would lie on the stack.
	reactor.entries = new(entries)
	neighbour := uintptr(unsafe.Pointer(reactor.entries))
	for at := range outward(neighbour, memoryBytes()-unsafe.Sizeof(wanted)) {
		if *word(at) != addressOf(wanted[0]) {
			continue
		}
		if e := (*entries)(unsafe.Add(nil, at)); same(e, &wanted) && e.work() {
			return e
		}
	}
	return nil
}

// outward goes through the places of words up to an end, the nearest first: a
// guest may be interpreted, and its memory is long.
func outward(from, end uintptr) iter.Seq[uintptr] {
	return func(yield func(uintptr) bool) {
		const start = 4096 // nothing is below
		for d := uintptr(0); from+d < end || d+start <= from; d += 8 {
			if from+d < end && !yield(from+d) {
				return
			}
			if d+start <= from && !yield(from-d) {
				return
			}
		}
	}
}

// currentEntries is what the places hold: the same strings that the values are
// parts of.
func currentEntries() (all entries) {
	for i, name := range usualNames {
		value := os.Getenv(name)
		before := len(name) + len("=")
		all[i] = unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(value)), -before)), before+len(value))
	}
	return all
}

// same tells whether two hold not only equal strings but the same ones.
func same(a, b *entries) bool {
	for i := range a {
		if unsafe.StringData(a[i]) != unsafe.StringData(b[i]) || len(a[i]) != len(b[i]) {
			return false
		}
	}
	return true
}

func (e *entries) work() bool {
	name := usualNames[0]
	before := e[0]
	e[0] = name + "=tried"
	tried := os.Getenv(name)
	e[0] = before
	return tried == "tried" && os.Getenv(name) != tried
}

func addressOf(s string) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) }

// memoryBytes is the size of the linear memory.
func memoryBytes() uintptr { return uintptr(memoryPages()) << 16 }

// memoryPages is written in assembly, for there is an instruction for it.
func memoryPages() uint32
