package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// FuzzSame runs generated modules on two engines, which have to agree on the
// results, the trap and the whole memory.
func FuzzSame(f *testing.F, one, other Open) {
	for i := range uint64(40) {
		f.Add(randomSeed(i))
	}
	a, b := newEnv(f, one, engine.Config{}, Options{}), newEnv(f, other, engine.Config{}, Options{})
	f.Fuzz(func(t *testing.T, seed []byte) { requireSame(t, a, b, seed) })
}

// An ending is all that a caller sees of a guest.
type ending struct {
	what     string
	memory   []byte
	timedOut bool
}

func (e *env) ending(t *testing.T, binary []byte) ending {
	t.Helper()
	m, err := e.rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	defer m.Close(t.Context())
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	instance, err := m.Instantiate(ctx, engine.Limits{})
	require.NoError(t, err)
	defer instance.Close(t.Context())
	results, err := instance.Call(ctx, "f", 5, 1<<40)
	return ending{
		what:     fmt.Sprint(results, err),
		memory:   bytes.Clone(instance.Memory()),
		timedOut: errors.Is(err, context.DeadlineExceeded),
	}
}
