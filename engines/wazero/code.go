package wazero

import (
	"cmp"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// code is a binary as it is compiled, and what the rewriter has to say of it.
type code struct {
	*rewrite.Result

	// fixed says why instances cannot be captured and put back, "" if they can.
	fixed string

	// size is that of the rewritten binary, which Binary need not be.
	size int

	parts *parts   // nil where Binary is all of it
	seen  *details // of an artefact; nil where wazero is asked
}

// prepare rewrites a binary: with a guard, with bounded tables, and such that
// its instances can start from a snapshot.
func prepare(binary []byte, config engine.Config) (code, error) {
	r, err := rewrite.Rewrite(binary, options(config))
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	return newCode(r, len(r.Binary)), nil
}

// prepareParts rewrites a binary for the interpreter, function by function.
func (r *Runtime) prepareParts(binary []byte, seen engine.Preview) (code, error) {
	o := options(r.config)
	o.Preview, _ = seen.(*rewrite.Preview)
	p, err := rewrite.Split(binary, o)
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	c := newCode(&p.Result, len(p.Binary)+p.LeftOut)
	if err := r.check(c); err != nil {
		return code{}, err
	}
	c.parts = newParts(r, p)
	return c, nil
}

func options(config engine.Config) rewrite.Options {
	return rewrite.Options{
		TableElements: config.TableElements, Guard: true, Hold: true, Capture: true,
		LazyTables: rewrite.ManyElements,
	}
}

func newCode(r *rewrite.Result, size int) code {
	// Data that the engine writes at every instantiation would overwrite a
	// snapshot's.
	return code{Result: r, fixed: cmp.Or(r.Unresettable, r.Uncaptured), size: size}
}

// image is the memory's initial content, which may be shared with Image.
func (c code) image() []byte {
	if len(c.Image) == 1 && c.Image[0].Offset == 0 {
		return c.Image[0].Data
	}
	return c.InitialMemory()
}
