package wazero

import (
	"context"

	"github.com/tetratelabs/wazero/experimental"
)

// WithWorkers has Precompile compile n functions side by side under the context
// that it returns. Only a process that exists for one compilation should do so:
// a panic over a binary, which is an error otherwise, ends it.
func WithWorkers(ctx context.Context, n int) context.Context {
	return experimental.WithCompilationWorkers(ctx, n)
}
