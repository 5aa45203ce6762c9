package wazero

import (
	"context"
	"errors"
	"slices"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// InParts interprets what it is asked to compile, function by function.
type InParts struct {
	engine.WasmRuntime // that of the compiler
	compiler           *Compiler
}

// NewInParts is an engine whose modules are those that [Compiler.Interpret] gives.
func NewInParts(ctx context.Context, config engine.Config) (InParts, error) {
	c, err := NewCompiler(ctx, config)
	return InParts{c, c}, err
}

func (r InParts) Compile(ctx context.Context, binary []byte) (engine.Module, error) {
	m, err := r.compiler.Interpret(ctx, binary, nil)
	if err != nil {
		return nil, err
	}
	if err := m.(*module).valid.wait(); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

// Forget has it know of no function that it will be called.
func (r InParts) Forget() error {
	interpreter, err := r.compiler.interpreter.get()
	if err == nil {
		interpreter.forecast = &forecast{called: map[rewrite.Shape]int{}}
	}
	return err
}

// Called are the functions that it knows to be called, in that order.
func (r InParts) Called() ([]rewrite.Shape, error) {
	interpreter, err := r.compiler.interpreter.get()
	if err != nil {
		return nil, err
	}
	return slices.Clone(interpreter.forecast.oldest), nil
}

// Forecast is what an interpreter expects to be called.
type Forecast struct{ forecast }

// NewForecast expects functions of these shapes.
func NewForecast(shapes ...rewrite.Shape) *Forecast {
	f := &Forecast{forecast{called: map[rewrite.Shape]int{}}}
	for _, s := range shapes {
		f.add(s)
	}
	return f
}

// Of gives the functions of a module that will probably be called.
func (f *Forecast) Of(p *rewrite.Parts) []uint32 { return f.of(p) }

const (
	ForecastShapes = forecastShapes
	LikelyBytes    = likelyBytes
)
