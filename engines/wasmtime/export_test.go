//go:build cgo && linux && amd64

package wasmtime

import (
	"context"

	"wasmwhisk/engine"
)

// NewOnFibers is [New] with all guests on fibers, as if many were blocked.
func NewOnFibers(_ context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return newRuntime(config, 0)
}
