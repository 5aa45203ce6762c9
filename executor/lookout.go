package executor

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patience is how long an activation takes before it is worth a look whether its
// client still waits.
const patience = 5 * time.Millisecond

// lookout notices that a client hangs up while it waits for its answer. Nothing
// tells but reading, and a read in the background costs more than a small
// activation. So only activations that take longer than patience are watched, and
// the timer for that is left to fire rather than set for each of them.
type lookout struct {
	conn   net.Conn
	hungUp func() // is called when the client has
	timer  *time.Timer

	mu    sync.Mutex
	armed bool          // the timer is
	since time.Time     // the client waits; zero if it does not
	ended chan struct{} // closed when a look has ended; nil if there is none

	next []byte // what a look found, of another request
}

func newLookout(conn net.Conn, hungUp func()) *lookout {
	l := &lookout{conn: conn, hungUp: hungUp}
	l.timer = time.AfterFunc(time.Hour, l.fire)
	l.timer.Stop()
	return l
}

// begin is called when the client begins to wait.
func (l *lookout) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Now()
	if !l.armed {
		l.armed = true
		l.timer.Reset(patience)
	}
}

// end is called when the client need not wait any more. It gives what came from it
// meanwhile, a byte at most.
func (l *lookout) end() []byte {
	ended := l.stop()
	if ended == nil {
		return nil
	}
	<-ended
	return l.next
}

// stop gives the end of the look that there is, which is near.
func (l *lookout) stop() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.ended
	l.since, l.ended = time.Time{}, nil
	if ended != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // a closed connection ends it, too
	}
	return ended
}

// fire is what the timer does.
func (l *lookout) fire() {
	if ended := l.due(); ended != nil {
		defer close(ended)
		l.look()
	}
}

// due tells whether to look now, by a channel to close afterwards. It sets the
// timer again for a client that waits for less than patience.
func (l *lookout) due() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	if l.since.IsZero() {
		return nil
	}
	if rest := patience - time.Since(l.since); rest > 0 {
		l.armed = true
		l.timer.Reset(rest)
		return nil
	}
	l.ended = make(chan struct{})
	_ = l.conn.SetReadDeadline(time.Time{})
	return l.ended
}

// look waits for something to come from the client, or its end, or the time to
// stop.
func (l *lookout) look() {
	var next [1]byte
	n, err := l.conn.Read(next[:])
	l.next = next[:n]
	if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.hungUp()
	}
}

// close ends what begin and end left behind.
func (l *lookout) close() { l.timer.Stop() }
