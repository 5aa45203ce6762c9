package executor

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watched is a lookout over a pipe, and the pipe's other end.
func watched(t *testing.T) (l *lookout, client net.Conn, hungUp *time.Time) {
	t.Helper()
	client, server := net.Pipe()
	hungUp = new(time.Time)
	l = newLookout(server, func() { *hungUp = time.Now() })
	t.Cleanup(func() {
		l.close()
		_ = client.Close()
		_ = server.Close()
	})
	return l, client, hungUp
}

func TestLookoutNoticesAClientThatHangsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client, hungUp := watched(t)
		for range 1000 { // are over before anyone looks
			l.begin()
			<-time.After(patience / 3)
			require.Empty(t, l.end())
		}
		began := time.Now()
		l.begin()
		<-time.After(time.Hour)
		_ = client.Close()
		synctest.Wait()
		assert.Equal(t, time.Hour, hungUp.Sub(began))
		assert.Empty(t, l.end())
	})
}

func TestLookoutNoticesAClientThatHungUpBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client, hungUp := watched(t)
		began := time.Now()
		l.begin()
		_ = client.Close()
		<-time.After(time.Hour)
		assert.Empty(t, l.end())
		assert.Equal(t, patience, hungUp.Sub(began))
	})
}

func TestLookoutLeavesTheConnectionAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, client, hungUp := watched(t)
		got := make([]byte, 3)
		for range 3 {
			l.begin()
			<-time.After(time.Second)
			go func() { _, _ = client.Write([]byte("next")) }()
			<-time.After(time.Second)
			require.Equal(t, "n", string(l.end()))

			require.NoError(t, l.conn.SetReadDeadline(time.Now().Add(time.Hour)))
			_, err := l.conn.Read(got)
			require.NoError(t, err)
			require.Equal(t, "ext", string(got))

			l.begin()
			<-time.After(time.Second)
			require.Empty(t, l.end(), "what came in an earlier look does not come again")
		}
		assert.Zero(t, *hungUp)
	})
}
