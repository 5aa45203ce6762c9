package invoker

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"wasmwhisk/whisk"
)

func digestOf(n int) (d whisk.Digest) {
	binary.BigEndian.PutUint64(d[:], uint64(n))
	return d
}

// TestManyUploadsAreNoManyGoroutines is a client that uploads faster than anything
// compiles.
func TestManyUploadsAreNoManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun, ended atomic.Int64
		goOn := make(chan struct{})
		c := newCompilations(t.Context(), func(context.Context, whisk.Digest) {
			begun.Add(1)
			<-goOn
			ended.Add(1)
		})
		for n := range 10 * mostPending {
			c.add(digestOf(n))
			c.add(digestOf(n)) // once at a time
		}
		synctest.Wait()
		assert.EqualValues(t, c.most, begun.Load(), "compilations at once")
		assert.Equal(t, c.most, c.running, "goroutines")
		close(goOn)
		c.wait()
		assert.EqualValues(t, mostPending, ended.Load(), "codes compiled")

		c.add(digestOf(0))
		c.wait()
		assert.EqualValues(t, mostPending+1, ended.Load(), "codes compiled, the first again")
		assert.Empty(t, c.pending)
	})
}

func TestNothingIsCompiledAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		var begun atomic.Int64
		c := newCompilations(ctx, func(ctx context.Context, _ whisk.Digest) {
			begun.Add(1)
			<-ctx.Done()
		})
		for n := range 2 * c.most {
			c.add(digestOf(n))
		}
		synctest.Wait()
		end()
		c.add(digestOf(-1))
		c.wait()
		assert.EqualValues(t, c.most, begun.Load())
	})
}
