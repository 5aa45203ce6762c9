package host

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	c := newConnections(&net.Dialer{})
	dial := func(address string) (net.Conn, error) { return c.dial(t.Context(), "tcp", address) }
	for range MaxConnections - 1 {
		c.open <- struct{}{}
	}
	for range 3 { // what is closed twice or fails counts once
		conn, err := dial(listener.Addr().String())
		require.NoError(t, err)
		_, err = dial(listener.Addr().String())
		require.ErrorIs(t, err, errTooManyConnections)
		assert.Equal(t, CodeLimit, code(err))
		require.NoError(t, conn.Close())
		require.Error(t, conn.Close())
		_, err = dial(closedPort(t))
		require.NotErrorIs(t, err, errTooManyConnections)
		require.Error(t, err)
	}
	assert.Len(t, c.open, MaxConnections-1)
}
