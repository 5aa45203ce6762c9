package invoker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/executor/action"
)

func TestNobodyWaitsForAnActionWhoseMakingPanicked(t *testing.T) {
	t.Parallel()
	w := newWarmActions(1, time.Hour)
	a, first := w.join("hello", "1")
	require.True(t, first)
	other, first := w.join("hello", "1")
	require.False(t, first)
	_, _, err := w.await(t.Context(), a, true, func(context.Context) (*action.Action, action.Trial, error) { panic("boom") })
	require.EqualError(t, err, "panicked: boom", "of who made it")
	_, _, err = w.await(t.Context(), other, false, nil)
	require.EqualError(t, err, "panicked: boom", "of who waited for it")
	assert.Zero(t, w.count(), "actions kept")
}
