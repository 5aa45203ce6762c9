package kept_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engines/internal/kept"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	b := kept.New(100)
	var one, other kept.Share
	require.NoError(t, b.Charge(&one, 60))
	require.ErrorIs(t, b.Charge(&other, 41), kept.ErrNoRoom)
	require.NoError(t, b.Charge(&other, 40))
	require.NoError(t, b.Charge(&one, 60), "as much as before")
	require.ErrorIs(t, b.Charge(&one, 61), kept.ErrNoRoom)
	require.NoError(t, b.Charge(&one, 50))
	require.NoError(t, b.Charge(&other, 50), "what the other left")
	b.Release(&one)
	b.Release(&one)
	require.NoError(t, b.Charge(&other, 100))
	assert.ErrorIs(t, b.Charge(&one, 1), kept.ErrNoRoom)
}
