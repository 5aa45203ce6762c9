package rewrite

import (
	"errors"
	"fmt"
	"strings"
)

// Options says what to change. Its zero value asks for nothing.
type Options struct {
	TableElements uint32 // bound of every table's maximum; 0: none
	MemoryPages   uint32 // bound of the memory's maximum, in pages of 64 KiB; 0: none
	Guard         bool   // see [Guard]
	LazyTables    uint32 // with Guard: have tables with so many elements filled when they are called through; 0: none
	StackBytes    uint32 // native stack that the guard allows; 0: [DefaultStackBytes]
	Hold          bool   // with Guard: have commands such that they can be held where they read, see [Result]
	Capture       bool   // export mutable globals; take data and start function out, see [Result]

	Preview *Preview // was shown the binary in question, in the same memory; nil: nobody was
}

const (
	// ReservedModule is where the guard's host function is imported from. No
	// guest may import from it.
	ReservedModule = "wasmwhisk"
	// reservedExports begins the names of all exports that are added. No guest
	// may use it.
	reservedExports = ReservedModule + "."
)

// Names that Rewrite gives to what it adds.
const (
	TickName    = "tick"                   // imported from ReservedModule
	FuelExport  = reservedExports + "fuel" // mutable i32 global
	DepthExport = reservedExports + "depth"
	StartExport = reservedExports + "start"
	HeldExport  = reservedExports + "held"
)

// Reserved tells whether an export is one that was added.
func Reserved(name string) bool { return strings.HasPrefix(name, reservedExports) }

// Result is a rewritten module and what the host needs to know of it.
type Result struct {
	Binary []byte

	// Checksum is that of the original, to tell results apart that are otherwise
	// alike. It is no proof against forgery.
	Checksum uint32

	// Sound tells that all function bodies are known to be valid. If it is false some
	// may be invalid, and an engine has to validate the original before the result is
	// used.
	Sound bool

	// Guard is nil without Options.Guard.
	Guard *Guard

	// Globals are the mutable globals that hold numbers and that the module
	// defines itself, in order of their indices. They are exported under extra
	// names with Options.Capture.
	Globals []Global

	// HasMemory tells whether the module defines a memory, MemoryMin and
	// MemoryMax are its bounds in pages, the latter after clamping and 65,536
	// where there is none.
	HasMemory            bool
	MemoryMin, MemoryMax uint32

	// Image is the memory's initial content where it is not zero, in ascending
	// order and without overlaps, with Options.Capture: the binary has no active
	// data segments any more, and the host writes the image before it calls
	// Start. Start is the exported name of the former start function, "" if there
	// was none.
	Image []Segment
	Start string

	// Held is the exported name of the function to call instead of _start for a
	// command that the host means to hold where it reads its input, and to have go on
	// from there more than once: it calls tick with [Returned] after _start. The
	// function by which such a command reads can be answered with [Again]. Held is ""
	// without Options.Hold, and for any other module.
	Held string

	// Locals are the locals that all functions declare together, MostLocals those
	// of the function with the most, parameters included. A few bytes can declare
	// many, and some engines spend memory or time on each.
	Locals, MostLocals uint64

	// Uncaptured says why Image and Start are empty in spite of Options.Capture:
	// the engine still initialises memory and runs the start function at
	// instantiation. It is "" otherwise.
	Uncaptured string

	// Unresettable says why memory and Globals are not all of the state of an
	// instance, so that putting both back does not reset it. It is "" if they are.
	Unresettable string
}

// InitialMemory is the memory's content up to the end of Image, nil if that is
// empty. It belongs to the caller.
func (r *Result) InitialMemory() []byte {
	if len(r.Image) == 0 {
		return nil
	}
	last := r.Image[len(r.Image)-1]
	all := make([]byte, int(last.Offset)+len(last.Data))
	for _, s := range r.Image {
		copy(all[s.Offset:], s.Data)
	}
	return all
}

// Guard is what the host deals with when a guest runs under guard.
//
// A guest counts its work down in the fuel global, a unit being about a
// nanosecond, at loop headers, at the entries of functions and by the size of
// bulk operations. Below zero it calls the imported function
//
//	tick(remaining i32) (fuel i32)
//
// whose result is the new fuel, at most 1<<30. The depth global has the bytes of
// native stack that are left; a function that would use more calls tick with a
// negative number, which must end the guest: tick must not return then. In all
// other calls remaining is not negative.
//
// Both globals need to be set before every call from the outermost host code:
// fuel to what tick would give, or to 0 so that the guest asks soon; depth to
// StackBytes. A host function that calls back into the same instance leaves
// depth alone, and nesting stays bounded through it.
type Guard struct {
	TickModule, TickName    string
	FuelExport, DepthExport string
	StackBytes              int32 // initial value of the depth global
}

// DefaultStackBytes lets native stacks grow to about 1 MiB, 1.4 in the worst case
// known: an engine doubles them, and frames are estimates.
const DefaultStackBytes = 512 << 10

// A Global is a mutable global that is exported for capture.
type Global struct {
	Type   byte // 0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64
	Export string
}

// A Segment is a part of a memory's initial content.
type Segment struct {
	Offset uint32
	Data   []byte
}

// Rewrite changes a binary. The error is a [*FormatError] if it is malformed or
// passes the limits that web engines share, an [*UnsupportedError] if it uses
// what the rewriter does not know, a [*ReservedError] if it uses names that are
// not for guests, and a [*TableError] or [*MemoryError] if a table or the memory
// is larger than its bound from the start.
func Rewrite(binary []byte, o Options) (*Result, error) {
	m, err := decode(binary)
	if err != nil {
		return nil, typed(err)
	}
	w := newRewriter(m, o)
	if err := w.rewrite(); err != nil {
		return nil, typed(err)
	}
	return w.result, nil
}

// typed gives an error of the walker the type that callers look for.
func typed(err error) error {
	format, ok := errors.AsType[*FormatError](err)
	switch {
	case !ok:
		return err
	case format.reserved != "":
		return &ReservedError{Name: format.reserved}
	case format.unsupported:
		return &UnsupportedError{Offset: format.Offset, Reason: format.Reason}
	}
	return err
}

// UnsupportedError reports a binary beyond WebAssembly 2.0, or beyond what the
// rewriter does with it. An engine may know what to do.
type UnsupportedError struct {
	Offset int // in the binary
	Reason string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("at offset %#x: %s", e.Offset, e.Reason)
}

// ReservedError reports a guest that uses a name which the rewriter keeps for
// itself: imported module or export.
type ReservedError struct{ Name string }

func (e *ReservedError) Error() string { return fmt.Sprintf("the name %q is reserved", e.Name) }

// MemoryError reports a memory that is larger from the start than it may be.
type MemoryError struct {
	Minimum, Limit uint32 // in pages
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("memory of %d pages exceeds the limit of %d", e.Minimum, e.Limit)
}
