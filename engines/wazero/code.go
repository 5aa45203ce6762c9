package wazero

import (
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
}

// prepare rewrites a binary: with a guard, with bounded tables, and such that
// its instances can start from a snapshot.
func prepare(binary []byte, config engine.Config) (code, error) {
	r, err := rewrite.Rewrite(binary, rewrite.Options{TableElements: config.TableElements, Guard: true, Hold: true, Capture: true})
	if err != nil {
		return code{}, &engine.InvalidModuleError{Err: err}
	}
	c := code{Result: r, fixed: r.Unresettable, size: len(r.Binary)}
	if c.fixed == "" {
		// Data that the engine writes at every instantiation would overwrite a
		// snapshot's.
		c.fixed = r.Uncaptured
	}
	return c, nil
}

// image is the memory's initial content, which may be shared with Image.
func (c code) image() []byte {
	if len(c.Image) == 1 && c.Image[0].Offset == 0 {
		return c.Image[0].Data
	}
	return c.InitialMemory()
}
