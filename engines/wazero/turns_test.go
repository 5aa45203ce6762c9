package wazero

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// TestTurns has more guests run for long than there are processors: all are
// stopped, whether they have a turn or wait for one, and so are those that call
// the host; no turn is left.
func TestTurns(t *testing.T) {
	t.Parallel()
	type guestKey struct{}
	var asked, kept atomic.Bool
	host := engine.HostFunc{Module: "host", Name: "f", Call: func(ctx context.Context, _ engine.Memory, _ []uint64) error {
		asked.Store(true)
		if ctx.Value(guestKey{}).(*instance).ctx.call.hasTurn {
			kept.Store(true)
		}
		return nil
	}}
	c, err := NewCompiler(t.Context(), engine.Config{HostFuncs: []engine.HostFunc{host}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	module, err := c.Compile(t.Context(), wat.Must(`(import "host" "f" (func $f))
		(func $work (local $n i32) (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000)))))
		(func (export "spin") (loop $l (br $l)))
		(func (export "call") (loop $l (call $work) (call $f) (br $l)))`))
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var guests sync.WaitGroup
	for n := range 8 * runtime.GOMAXPROCS(0) {
		guests.Go(func() {
			i, err := module.Instantiate(t.Context(), engine.Limits{})
			if !assert.NoError(t, err) {
				return
			}
			defer i.Close(t.Context())
			_, err = i.Call(context.WithValue(ctx, guestKey{}, i), []string{"spin", "call"}[n%2])
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
	guests.Wait()
	assert.Empty(t, c.turns.taken, "turns that are left")
	assert.True(t, asked.Load(), "some guest called the host")
	assert.False(t, kept.Load(), "a guest kept its turn while the host worked for it")
}
