package executor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadDeadlines sets one deadline after the other, each of which the
// connection may or may not have already.
func TestReadDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		conn := &limitedConn{Conn: server, slots: make(chan struct{}, 1), timeout: time.Minute}
		conn.slots <- struct{}{}
		defer conn.Close()
		read := func() (time.Duration, error) {
			began := time.Now()
			_, err := conn.Read(make([]byte, 1))
			return time.Since(began), err
		}
		in := func(d time.Duration) { require.NoError(t, conn.SetReadDeadline(time.Now().Add(d))) }
		send := func(after time.Duration) {
			go func() {
				<-time.After(after)
				_, _ = client.Write([]byte("x"))
			}()
		}

		in(time.Second)
		in(5 * time.Second)
		took, err := read()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 5*time.Second, took, "a read with a deadline that was put off")

		in(time.Second)
		require.NoError(t, conn.SetReadDeadline(time.Time{}))
		send(time.Hour)
		took, err = read()
		require.NoError(t, err)
		assert.Equal(t, time.Hour, took, "a read with a deadline that was lifted")

		in(time.Hour)
		in(time.Second)
		took, err = read()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Second, took, "a read with a deadline that was brought forward")

		require.NoError(t, conn.SetReadDeadline(time.Unix(1, 0)))
		took, err = read()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Zero(t, took, "a read that was ended")
		require.NoError(t, conn.SetReadDeadline(time.Time{}))
		send(time.Minute)
		_, err = read()
		require.NoError(t, err, "a read after one that was ended")
	})
}

func TestActivationOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		method, target, id string
		ok                 bool
	}{
		{"POST", "/a/run", "a", true},
		{"POST", "/a/run?x=1", "a", true},
		{"POST", "/start/run", "start", true},
		{"GET", "/a/run", "", false},
		{"POST", "/run", "", false},
		{"POST", "//run", "", false},
		{"POST", "/a/b/run", "", false},
		{"POST", "/a%2Fb/run", "", false},
		{"POST", "/a/init", "", false},
		{"POST", "/a/run/", "", false},
	} {
		id, ok := activationOf(httptest.NewRequest(tc.method, tc.target, http.NoBody), multiplexed{})
		assert.Equal(t, tc.ok, ok, "activationOf(%s %s)", tc.method, tc.target)
		assert.Equal(t, tc.id, id, "activationOf(%s %s)", tc.method, tc.target)
	}
}
