//go:build cgo && linux && amd64

package wasmtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCallsWaitForAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := make(places, 1)
		require.NoError(t, places.enter(t.Context()))

		ctx, stop := context.WithCancelCause(t.Context())
		cancelled, waiting := make(chan error, 1), make(chan error, 1)
		go func() { cancelled <- places.enter(ctx) }()
		go func() { waiting <- places.enter(t.Context()) }()
		synctest.Wait()
		assert.Empty(t, waiting, "while another call runs")

		cause := errors.New("given up")
		stop(cause)
		assert.Equal(t, cause, <-cancelled)
		assert.Equal(t, cause, places.enter(ctx), "after ctx has ended")

		places.leave()
		assert.NoError(t, <-waiting)
	})
}
