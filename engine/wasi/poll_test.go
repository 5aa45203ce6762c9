package wasi

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// wanted is a subscription.
type wanted struct {
	userdata uint64
	event    byte
	id       uint32 // of a clock or a descriptor
	timeout  uint64
	absolute bool
}

// happened is an event.
type happened struct {
	userdata uint64
	errno    errno
	event    byte
	size     uint64
	flags    uint16
}

func (g *guest) subscribe(subs ...wanted) (ptr, n uint64) {
	g.tb.Helper()
	at := g.alloc(len(subs) * sizeSubscription)
	for i, s := range subs {
		b := g.mem[at+uint32(i*sizeSubscription):]
		binary.LittleEndian.PutUint64(b, s.userdata)
		b[8] = s.event
		binary.LittleEndian.PutUint32(b[16:], s.id)
		binary.LittleEndian.PutUint64(b[24:], s.timeout)
		if s.absolute {
			b[40] = clockAbsolute
		}
	}
	return uint64(at), uint64(len(subs))
}

// poll waits for something to happen.
func (g *guest) poll(subs ...wanted) []happened {
	g.tb.Helper()
	in, n := g.subscribe(subs...)
	at := g.alloc(len(subs) * sizeEvent)
	g.ok("poll_oneoff", in, uint64(at), n, out)
	var events []happened
	for i := range g.u32(out) {
		b := g.mem[at+i*sizeEvent:]
		events = append(events, happened{
			userdata: binary.LittleEndian.Uint64(b),
			errno:    errno(binary.LittleEndian.Uint16(b[8:])),
			event:    b[10],
			size:     binary.LittleEndian.Uint64(b[16:]),
			flags:    binary.LittleEndian.Uint16(b[24:]),
		})
	}
	return events
}

func (g *guest) sleep(d time.Duration) {
	g.tb.Helper()
	events := g.poll(wanted{userdata: 7, id: clockMonotonic, timeout: uint64(d)})
	require.Equal(g.tb, []happened{{userdata: 7}}, events)
}

func TestPollClocks(t *testing.T) {
	t.Parallel()
	for _, id := range []uint32{clockRealtime, clockMonotonic} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuest(t, Config{Now: time.Now})
			start := time.Now()
			events := g.poll(
				wanted{userdata: 1, id: id, timeout: uint64(time.Hour)},
				wanted{userdata: 2, id: id, timeout: uint64(2 * time.Second)},
				wanted{userdata: 3, id: id, timeout: g.time(uint64(id)) + uint64(time.Second), absolute: true})
			require.Equal(t, []happened{{userdata: 3}}, events)
			require.Equal(t, time.Second, time.Since(start))
		})
	}
}

func TestPollGivesAllThatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, Config{})
		same := uint64(time.Second)
		events := g.poll(wanted{userdata: 1, id: clockMonotonic, timeout: same}, wanted{userdata: 2, timeout: same})
		require.Equal(t, []happened{{userdata: 1}, {userdata: 2}}, events)
	})
}

func TestPollTimesThatHavePassed(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	require.Len(t, g.poll(wanted{timeout: 0}), 1)
	require.Len(t, g.poll(wanted{timeout: 12345, absolute: true}), 1)
}

// TestPollUnderAClockThatStands sleeps although the guest is always told the same
// time.
func TestPollUnderAClockThatStands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		then := time.Unix(1e9, 0)
		g := newGuest(t, Config{Now: func() time.Time { return then }})
		start := time.Now()
		g.sleep(time.Second)
		g.poll(wanted{timeout: 1e18 + uint64(time.Second), absolute: true})
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestPollEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errTimeUp)
		defer cancel()
		for _, forever := range []uint64{math.MaxUint64, math.MaxInt64, uint64(time.Hour)} {
			g := newGuest(t, Config{})
			g.ctx = ctx
			in, n := g.subscribe(wanted{timeout: forever})
			_, err := g.call("poll_oneoff", in, 2048, n, out)
			require.Equal(t, errTimeUp, err, "poll_oneoff for %d ns", forever)
		}
	})
}

func TestPollStreams(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Stdin: strings.NewReader("abc")})
	long := wanted{userdata: 9, timeout: uint64(time.Hour)}
	events := g.poll(long, wanted{userdata: 1, event: eventFdRead, id: 0}, wanted{userdata: 2, event: eventFdWrite, id: 1})
	require.Equal(t, []happened{
		{userdata: 1, event: eventFdRead, size: 3},
		{userdata: 2, event: eventFdWrite, size: maxPiece},
	}, events)
	_, _, _ = g.read(0, 3)
	events = g.poll(long, wanted{event: eventFdRead, id: 0})
	require.Equal(t, []happened{{event: eventFdRead, flags: eventHangup}}, events)
}

func TestPollFiles(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello"}), ReadOnly)
	fd := g.opened(root, "f", toRead)
	_, _, _ = g.read(fd, 2)
	require.Equal(t, []happened{{event: eventFdRead, size: 3}}, g.poll(wanted{event: eventFdRead, id: fd}))
}

func TestPollWhatCannotHappen(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello"}), ReadOnly)
	fd := g.opened(root, "f", toRead)
	for _, c := range []struct {
		want errno
		sub  wanted
	}{
		{eINVAL, wanted{event: eventClock, id: 4}},
		{eINVAL, wanted{event: eventClock, id: math.MaxUint32}},
		{eBADF, wanted{event: eventFdRead, id: math.MaxUint32}},
		{eBADF, wanted{event: eventFdWrite, id: 200}},
		{eNOTCAPABLE, wanted{event: eventFdRead, id: 1}},
		{eNOTCAPABLE, wanted{event: eventFdWrite, id: 0}},
		{eNOTCAPABLE, wanted{event: eventFdRead, id: root}},
		{eNOTCAPABLE, wanted{event: eventFdWrite, id: fd}},
	} {
		require.Equal(t, []happened{{errno: c.want, event: c.sub.event}}, g.poll(c.sub), "%+v", c.sub)
	}
}

func TestPollHostile(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	in, n := g.subscribe(wanted{event: 3})
	g.gives(eINVAL, "poll_oneoff", in, 2048, n, out)
	g.gives(eINVAL, "poll_oneoff", in, 2048, 0, out)
	g.gives(eINVAL, "poll_oneoff", in, 2048, maxSubscriptions+1, out)
	g.gives(eINVAL, "poll_oneoff", in, 2048, 1<<32-1, out)
	g.gives(eFAULT, "poll_oneoff", uint64(len(g.mem)-47), 2048, 1, out)
	g.gives(eFAULT, "poll_oneoff", in, uint64(len(g.mem)-31), 1, out)
	g.gives(eFAULT, "poll_oneoff", in, 2048, 1, uint64(len(g.mem)-3))
}

// TestPollOverItself writes events over the subscriptions.
func TestPollOverItself(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	in, n := g.subscribe(wanted{userdata: 1}, wanted{userdata: 2}, wanted{userdata: 3})
	g.ok("poll_oneoff", in, in, n, out)
	require.Equal(t, uint32(3), g.u32(out))
	for i := range uint32(3) {
		require.Equal(t, uint64(i+1), g.u64(uint32(in)+i*sizeEvent))
	}
}

func TestPollWaitsForInput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		g := newGuest(t, Config{Stdin: reader})
		stdin := wanted{userdata: 1, event: eventFdRead}
		require.Equal(t, []happened{{userdata: 2}}, g.poll(stdin, wanted{userdata: 2, timeout: uint64(time.Second)}))
		go func() {
			time.Sleep(time.Second)
			_, _ = io.WriteString(writer, "abc")
			writer.Close()
		}()
		require.Equal(t, []happened{{userdata: 1, event: eventFdRead, size: 3}},
			g.poll(stdin, wanted{userdata: 2, timeout: uint64(time.Hour)}))
	})
}

func TestPollWaitsForAPipe(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	g := newGuest(t, Config{Stdin: reader})
	stdin := wanted{userdata: 1, event: eventFdRead}
	require.Equal(t, []happened{{userdata: 2}}, g.poll(stdin, wanted{userdata: 2, timeout: uint64(time.Millisecond)}))
	require.NoError(t, writer.Close())
	require.Equal(t, []happened{{userdata: 1, event: eventFdRead, size: 1}}, g.poll(stdin))
}
