package wazero

import (
	"context"
	"errors"

	"wasmwhisk/engine"
)

// inParts interprets what it is asked to compile, function by function.
type inParts struct {
	engine.WasmRuntime // that of the compiler
	compiler           *Compiler
}

// NewInParts is an engine whose modules are those that [Compiler.Interpret] gives.
func NewInParts(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	c, err := NewCompiler(ctx, config)
	if err != nil {
		return nil, err
	}
	return inParts{c, c}, nil
}

func (r inParts) Compile(ctx context.Context, binary []byte) (engine.Module, error) {
	m, err := r.compiler.Interpret(ctx, binary)
	if err != nil {
		return nil, err
	}
	if err := m.(*module).valid.wait(); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}
