package wazero

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine"
)

// What modules take, by measurement. Machine code is 3.8 times as large as its
// binary, and there are the decoded sections. What the interpreter makes of an
// instruction is larger: 32 times a Go module's binary, up to 105 times that of
// one made for it, and for each local an instruction that sets it.
const (
	compiledFactor    = 5
	interpretedFactor = 32
	worstFactor       = 105
	localBytes        = 64
)

const (
	// interpretedBytes bounds what the interpreter may make of one module: it does
	// so in this process, and looks at no context.
	interpretedBytes = 1 << 30

	// interpretedLocals bounds the locals of a function. Each costs time at each
	// call, which the guard does not count.
	interpretedLocals = 4096

	// interpretedFuel is how much a guest may do before it is looked at, where it
	// runs some twenty times slower.
	interpretedFuel = fullFuel / 16
)

// NewInterpreter returns an engine that interprets modules. It starts modules
// sooner than the compiler and runs them some twenty times slower; calls may
// nest 2,000 deep. It refuses modules whose functions have very many locals, or
// that would take more than 1 GiB.
func NewInterpreter(ctx context.Context, config engine.Config) (*Runtime, error) {
	r, err := newRuntime(ctx, config, "interpreter", wazero.NewRuntimeConfigInterpreter())
	if err != nil {
		return nil, err
	}
	r.fuel, r.forecast = interpretedFuel, newForecast()
	return r, nil
}

func (r *Runtime) interprets() bool { return r.mode == "interpreter" }

// check tells why a module must not be made here.
func (r *Runtime) check(c code) error {
	if !r.interprets() {
		return nil
	}
	if n := worstFactor*uint64(c.size) + localBytes*c.Locals; n > interpretedBytes {
		return tooMuch("interpreted code", "bytes", interpretedBytes, n)
	}
	if c.MostLocals > interpretedLocals {
		return tooMuch("an interpreted function", "locals", interpretedLocals, c.MostLocals)
	}
	return nil
}

func tooMuch(what, unit string, limit, wanted uint64) error {
	return &engine.InvalidModuleError{Err: fmt.Errorf("compile: %w", &engine.LimitError{What: what, Unit: unit, Limit: limit, Wanted: wanted})}
}

// codeBytes estimates the memory of a module's code.
func (r *Runtime) codeBytes(c code) int64 {
	if r.interprets() {
		return interpretedFactor*int64(c.size) + localBytes*int64(c.Locals)
	}
	return compiledFactor * int64(c.size)
}
