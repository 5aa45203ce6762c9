package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"wasmwhisk/engine"
)

// maxSubscriptions bounds what one poll_oneoff can wait for.
const maxSubscriptions = 1024

// The types of events.
const (
	eventClock   = 0
	eventFdRead  = 1
	eventFdWrite = 2
)

// Flags of clock subscriptions, and of events on descriptors.
const (
	clockAbsolute = 1
	eventHangup   = 1
)

// subscription is one thing that a guest waits for, as it lies in its memory.
type subscription []byte

func (sub subscription) userdata() uint64 { return binary.LittleEndian.Uint64(sub) }
func (sub subscription) event() byte      { return sub[8] }
func (sub subscription) id() uint32       { return binary.LittleEndian.Uint32(sub[16:]) } // a clock or a descriptor
func (sub subscription) timeout() uint64  { return binary.LittleEndian.Uint64(sub[24:]) }
func (sub subscription) absolute() bool {
	return binary.LittleEndian.Uint16(sub[40:])&clockAbsolute != 0
}

// poll is one call of poll_oneoff.
type poll struct {
	system        *System
	subscriptions []byte
	events        []byte // filled up to count
	count         uint32
	begun         [clockThreadCPU + 1]uint64 // what each clock told at first
	elapsed       time.Duration              // since then
	next          time.Duration              // of the clocks yet to come; forever if none
	onInput       bool                       // the guest waits for its input too
}

var errWaits = errors.New("it waits before it reads its input")

func (s *System) pollOneoff(ctx context.Context, mem engine.Memory, a args) error {
	if s.config.Hold != nil {
		return &stop{errWaits}
	}
	n := a.u32(2)
	if n == 0 || n > maxSubscriptions {
		return eINVAL
	}
	subscriptions, err := array(mem, a.u32(0), n, sizeSubscription)
	if err != nil {
		return err
	}
	events, err := array(mem, a.u32(1), n, sizeEvent)
	if err != nil {
		return err
	}
	if _, err := mem.Range(a.u32(3), 4); err != nil {
		return err
	}
	p := &poll{system: s, subscriptions: subscriptions, events: events}
	if err := p.run(ctx); err != nil {
		return err
	}
	return mem.PutUint32(a.u32(3), p.count)
}

// run waits until something has happened. It measures time by the host's clock,
// whatever the guest is told: what the guest waits for must come.
func (p *poll) run(ctx context.Context) error {
	start := time.Now()
	for id := range p.begun {
		p.begun[id], _ = p.system.clock.read(uint32(id))
	}
	for {
		if err := p.collect(ctx); err != nil || p.count > 0 {
			return err
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
		p.elapsed = time.Since(start)
	}
}

// wait waits for the next thing that can happen.
func (p *poll) wait(ctx context.Context) error {
	start := time.Now()
	defer func() { p.system.clock.slept += time.Since(start) }()
	if !p.onInput {
		return sleep(ctx, p.next)
	}
	_, err := p.system.stdin.source().wait(ctx, p.next)
	return err
}

// collect writes an event for everything that has happened, and finds out what
// else to wait for.
func (p *poll) collect(ctx context.Context) error {
	p.count, p.next, p.onInput = 0, forever, false
	for rest := p.subscriptions; len(rest) > 0; rest = rest[sizeSubscription:] {
		if err := p.check(ctx, subscription(rest[:sizeSubscription])); err != nil {
			return err
		}
	}
	return nil
}

// check fails only if the whole call must; what is wrong with one subscription
// is an event.
func (p *poll) check(ctx context.Context, sub subscription) error {
	switch sub.event() {
	case eventClock:
		p.checkClock(sub)
	case eventFdRead:
		return p.checkRead(ctx, sub)
	case eventFdWrite:
		p.checkWrite(sub)
	default:
		return eINVAL
	}
	return nil
}

func (p *poll) checkClock(sub subscription) {
	left, err := p.left(sub)
	switch {
	case err != nil:
		p.emit(sub, err, 0, 0)
	case left <= 0:
		p.emit(sub, nil, 0, 0)
	case p.next < 0 || left < p.next:
		p.next = left
	}
}

// left is how long to wait for a clock.
func (p *poll) left(sub subscription) (time.Duration, error) {
	id, timeout := sub.id(), sub.timeout()
	if id >= uint32(len(p.begun)) {
		return 0, eINVAL
	}
	if sub.absolute() {
		timeout -= min(timeout, p.begun[id])
	}
	return time.Duration(min(timeout, math.MaxInt64)) - p.elapsed, nil
}

func (p *poll) checkRead(ctx context.Context, sub subscription) error {
	d, err := p.system.lookup(sub.id(), rightPollFdReadwrite|rightFdRead)
	if err != nil {
		p.emit(sub, err, 0, 0)
		return nil
	}
	switch f := d.file.(type) {
	case *input:
		return p.checkInput(ctx, sub, f.source())
	case *regular:
		size, err := f.unread()
		p.emit(sub, err, size, 0)
	default:
		p.emit(sub, eBADF, 0, 0)
	}
	return nil
}

func (p *poll) checkInput(ctx context.Context, sub subscription, in source) error {
	ready, err := in.wait(ctx, 0)
	if _, stopped := errors.AsType[*stop](err); stopped {
		return err
	}
	if !ready && err == nil {
		p.onInput = true
		return nil
	}
	var flags uint16
	if in.buffered() == 0 {
		flags = eventHangup
	}
	p.emit(sub, err, uint64(in.buffered()), flags)
	return nil
}

// unread is how many bytes lie between the offset and the end.
func (f *regular) unread() (uint64, error) {
	st, err := f.stat()
	if err != nil {
		return 0, err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	return st.size - min(st.size, uint64(at)), nil
}

// checkWrite finds everything ready that can be written at all.
func (p *poll) checkWrite(sub subscription) {
	d, err := p.system.lookup(sub.id(), rightPollFdReadwrite|rightFdWrite)
	if err != nil {
		p.emit(sub, err, 0, 0)
		return
	}
	if _, ok := d.file.(writer); !ok {
		p.emit(sub, eBADF, 0, 0)
		return
	}
	p.emit(sub, nil, maxPiece, 0)
}

// emit writes an event. The subscription may lie where the event goes.
func (p *poll) emit(sub subscription, err error, size uint64, flags uint16) {
	var b [sizeEvent]byte
	binary.LittleEndian.PutUint64(b[0:], sub.userdata())
	binary.LittleEndian.PutUint16(b[8:], uint16(errnoOf(err)))
	b[10] = sub.event()
	binary.LittleEndian.PutUint64(b[16:], size)
	binary.LittleEndian.PutUint16(b[24:], flags)
	copy(p.events[p.count*sizeEvent:], b[:])
	p.count++
}
