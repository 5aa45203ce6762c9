package executor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate()
	require.True(t, g.enter())
	require.True(t, g.enter())
	empty := g.close()
	assert.True(t, g.isShut())
	assert.False(t, g.enter(), "a shut gate lets nobody in")
	g.leave()
	assert.False(t, isClosed(empty), "one is still inside")
	g.leave()
	assert.True(t, isClosed(empty))
	assert.True(t, isClosed(g.close()), "closing again")
}

func TestEmptyGate(t *testing.T) {
	t.Parallel()
	assert.True(t, isClosed(newGate().close()))
}
