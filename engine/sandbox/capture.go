package sandbox

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"wasmwhisk/engine/host"
)

// capture takes what one guest writes. A guest can write without end, so all
// that is kept is bounded; what is beyond the bounds is counted and dropped, and
// the guest is not told.
//
// The last line of stdout may be the guest's answer rather than a log, which
// only its contract knows: it is held back until the next one comes.
type capture struct {
	limits    Limits
	partial   [2]partialLine // by stream
	held      *entry
	entries   []entry
	bytes     int // of the entries, with their ends
	truncated bool
	began     int // lines so far, the order of the log
	fd3       boundedBuffer
	streams   [2]streamWriter
}

// partialLine is a line whose end has not come yet.
type partialLine struct {
	text  []byte
	size  int // with what was dropped
	order int
	time  time.Time
}

type entry struct {
	Line
	size, order int
}

func newCapture(limits Limits) *capture {
	c := new(capture)
	c.reset(limits)
	return c
}

// reset drops all that was written. What was handed out stays its owner's.
func (c *capture) reset(limits Limits) {
	*c = capture{limits: limits, fd3: boundedBuffer{limit: limits.ResultBytes}}
	c.streams = [2]streamWriter{{c, Stdout}, {c, Stderr}}
}

type streamWriter struct {
	capture *capture
	stream  Stream
}

func (c *capture) stdout() io.Writer { return &c.streams[Stdout] }
func (c *capture) stderr() io.Writer { return &c.streams[Stderr] }

func (w *streamWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		text, after, ended := bytes.Cut(rest, []byte{'\n'})
		w.capture.extend(w.stream, text)
		if ended {
			w.capture.end(w.stream)
		}
		rest = after
	}
	return len(p), nil
}

// log writes a message of the guest's as lines of its own on stderr.
func (c *capture) log(level host.Level, msg []byte) {
	if c.partial[Stderr].order != 0 {
		c.end(Stderr)
	}
	_, _ = io.WriteString(c.stderr(), strings.ToUpper(level.String())+" ")
	_, _ = c.stderr().Write(msg)
	c.end(Stderr)
}

func (c *capture) extend(stream Stream, text []byte) {
	p := &c.partial[stream]
	if p.order == 0 {
		c.began++
		p.order, p.time = c.began, time.Now()
	}
	room := max(c.limits.LogBytes, c.limits.ResultBytes) - len(p.text)
	p.text = append(p.text, text[:min(len(text), max(room, 0))]...)
	p.size += len(text)
}

// end completes the line of a stream.
func (c *capture) end(stream Stream) {
	p := &c.partial[stream]
	e := entry{Line: Line{Time: p.time, Stream: stream, Text: string(p.text)}, size: p.size, order: p.order}
	p.text, p.size, p.order = p.text[:0], 0, 0
	if stream == Stderr || strings.TrimSpace(e.Text) == "" {
		c.keep(e)
		return
	}
	c.releaseHeld()
	c.held = &e
}

func (c *capture) releaseHeld() {
	if c.held != nil {
		c.keep(*c.held)
		c.held = nil
	}
}

// keep makes a line a log, or as much of it as there is room for.
func (c *capture) keep(e entry) {
	if c.truncated || len(c.entries) >= c.limits.LogLines() {
		c.truncated = true
		return
	}
	if room := c.limits.LogBytes - c.bytes; e.size+1 > room {
		c.truncated = true
		e.Text = strings.ToValidUTF8(e.Text[:max(0, min(room-1, len(e.Text)))], "")
		if e.Text == "" {
			return
		}
	}
	c.bytes += len(e.Text) + 1
	c.entries = append(c.entries, e)
}

// endPartial completes lines that the guest did not end.
func (c *capture) endPartial() {
	for _, stream := range []Stream{Stdout, Stderr} {
		if c.partial[stream].order != 0 {
			c.end(stream)
		}
	}
}

func (c *capture) TakeLastLine() ([]byte, error) {
	c.endPartial()
	if c.held == nil {
		return nil, nil
	}
	line := *c.held
	c.held = nil
	if line.size > c.limits.ResultBytes {
		return nil, resultTooLong(line.size, c.limits.ResultBytes)
	}
	return []byte(line.Text), nil
}

func (c *capture) FD3() ([]byte, error) { return c.fd3.contents() }

// logs are all lines that were not taken.
func (c *capture) logs() Logs {
	c.endPartial()
	c.releaseHeld()
	if len(c.entries) == 0 {
		return Logs{Truncated: c.truncated}
	}
	slices.SortFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	lines := make([]Line, len(c.entries))
	for i, e := range c.entries {
		lines[i] = e.Line
	}
	return Logs{Lines: lines, Truncated: c.truncated}
}

// boundedBuffer keeps what is written up to its limit, and counts the rest.
type boundedBuffer struct {
	limit int
	data  []byte
	size  int
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.size += len(p)
	b.data = append(b.data, p[:min(len(p), b.slack()-len(b.data))]...)
	return len(p), nil
}

// slack leaves room for the line with which a guest may acknowledge its start.
func (b *boundedBuffer) slack() int { return b.limit + 64 }

func (b *boundedBuffer) contents() ([]byte, error) {
	if b.size > b.slack() {
		return nil, resultTooLong(b.size, b.limit)
	}
	return b.data, nil
}
