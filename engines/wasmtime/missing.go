//go:build !(cgo && linux && amd64)

package wasmtime

import (
	"context"
	"errors"

	"wasmwhisk/engine"
)

// Missing says why this binary cannot open the engine, "" if it can.
const Missing = "needs a build with cgo for linux/amd64"

// New gives an error that says what is missing.
func New(context.Context, engine.Config) (engine.Precompiler, error) { return nil, errors.New(Missing) }
