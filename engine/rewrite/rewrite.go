// Package rewrite changes WebAssembly binaries so that every engine does what
// engines do badly or not at all, and holds the walker over binaries that this
// takes.
//
// Rewrite injects a guard, which lets the host stop and schedule a guest that
// runs and bounds its stack, and prepares a module for capture: its state after
// start-up becomes visible, its data and its start function come under the
// host's control. The drivers under engines/ pass every binary through here
// before an engine sees it. The walker therefore also refuses what decoders
// choke on: a decoder that trusts a count allocates for it, and a dozen bytes
// can ask for more memory than the machine has. It validates function bodies as far as
// compilers make them, see [Result]; of others an engine must be asked. What is
// invalid stays so in any case: whatever names a type, function, global, local or
// label that is not there is refused, and so are names that the rewriter keeps for
// itself.
//
// The rewriter knows WebAssembly 2.0. Custom sections are dropped except for the
// names of functions.
package rewrite

import (
	"encoding/binary"
	"fmt"
)

// clampTables bounds the maximum of every table of a table section by limit, so
// that table.grow fails beyond it. The result is nil if the section can stay. A
// table with its minimum above its own maximum is left to the engine to refuse.
func clampTables(content []byte, limit uint32) ([]byte, error) {
	r := &reader{buf: content}
	n := r.u32()
	out := appendU32(nil, n)
	changed := false
	for range n {
		kind, l := r.byte(), r.limits()
		if l.unbounded() || l.min <= l.max && l.max > limit {
			changed, l.flags, l.max = true, l.flags|limitsHaveMax, limit
			if l.min > limit {
				return nil, &TableError{Minimum: l.min, Limit: limit}
			}
		}
		out = l.append(append(out, kind))
	}
	if !changed {
		return nil, nil
	}
	return out, nil
}

// TableError reports a table that is larger from the start than tables may be.
type TableError struct {
	Minimum, Limit uint32 // in elements
}

func (e *TableError) Error() string {
	return fmt.Sprintf("table of %d elements exceeds the limit of %d", e.Minimum, e.Limit)
}

// FormatError reports bytes that are not a WebAssembly module, one that no
// engine should be made to decode, or one that no engine can instantiate.
type FormatError struct {
	Offset int // in the binary
	Reason string

	unsupported bool // a walker that knew more might find nothing wrong
	reserved    string
}

func (e *FormatError) Error() string { return fmt.Sprintf("at offset %#x: %s", e.Offset, e.Reason) }

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }
