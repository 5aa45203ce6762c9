package executor

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/whisk"
)

// sink takes the lines of one activation at a time.
type sink interface {
	write(lines []sandbox.Line) error
}

// containerLogs are the logs of a container. Whatever belongs to one activation
// is written at once, so that activations never share lines.
type containerLogs struct {
	limit int // of an activation's bytes, for the line that tells of it
	onErr func(error)

	mu   sync.Mutex
	sink sink
}

// end writes the logs of an activation, and the sentinels that end them.
func (l *containerLogs) end(logs sandbox.Logs, extra ...string) {
	now := time.Now()
	lines := logs.Lines
	if logs.Truncated {
		extra = append(extra, whisk.TextLogsTruncated(l.limit))
	}
	for _, text := range extra {
		lines = append(lines, sandbox.Line{Time: now, Stream: sandbox.Stderr, Text: text})
	}
	l.write(append(lines,
		sandbox.Line{Time: now, Stream: sandbox.Stdout, Text: whisk.Sentinel},
		sandbox.Line{Time: now, Stream: sandbox.Stderr, Text: whisk.Sentinel}))
}

// say writes a line that belongs to no activation.
func (l *containerLogs) say(text string) {
	l.write([]sandbox.Line{{Time: time.Now(), Stream: sandbox.Stderr, Text: text}})
}

func (l *containerLogs) write(lines []sandbox.Line) {
	if len(lines) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.sink.write(lines); err != nil {
		l.onErr(fmt.Errorf("write logs: %w", err))
	}
}

// streams writes lines to two writers, as the streams of a process.
type streams struct{ stdout, stderr io.Writer }

func (s streams) write(lines []sandbox.Line) error {
	var out, err []byte
	for _, line := range lines {
		if line.Stream == sandbox.Stdout {
			out = append(append(out, line.Text...), '\n')
		} else {
			err = append(append(err, line.Text...), '\n')
		}
	}
	if _, fault := s.stdout.Write(out); fault != nil {
		return fault
	}
	_, fault := s.stderr.Write(err)
	return fault
}

// lineBytes is what keeping a line costs besides its text.
const lineBytes = 48

// ring keeps the last lines, up to a number of bytes. It is safe for concurrent
// use.
type ring struct {
	limit int

	mu    sync.Mutex
	lines []sandbox.Line // the first of them are dropped
	drops int            // how many
	bytes int            // of those that are not
}

func (r *ring) write(lines []sandbox.Line) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last(lines)
	if len(last) < len(lines) {
		r.lines, r.drops, r.bytes = nil, 0, 0
	}
	for _, line := range last {
		r.lines = append(r.lines, line)
		r.bytes += len(line.Text) + lineBytes
	}
	r.dropLocked()
	return nil
}

// last are the lines that fit at most.
func (r *ring) last(lines []sandbox.Line) []sandbox.Line {
	bytes := 0
	for n, line := range slices.Backward(lines) {
		if bytes += len(line.Text) + lineBytes; bytes > r.limit {
			return lines[n+1:]
		}
	}
	return lines
}

// dropLocked forgets the oldest lines past the limit. What is left moves to the
// front only when half of the room is wasted, so that a line costs the same
// however many are kept.
func (r *ring) dropLocked() {
	for r.bytes > r.limit && r.drops < len(r.lines) {
		r.bytes -= len(r.lines[r.drops].Text) + lineBytes
		r.lines[r.drops] = sandbox.Line{}
		r.drops++
	}
	if r.drops > len(r.lines)/2 {
		kept := copy(r.lines, r.lines[r.drops:])
		clear(r.lines[kept:])
		r.lines, r.drops = r.lines[:kept], 0
	}
}

func (r *ring) snapshot() []sandbox.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]sandbox.Line(nil), r.lines[r.drops:]...)
}

// both writes to two sinks. One that fails does not keep lines from the other.
type both struct{ first, second sink }

func (b both) write(lines []sandbox.Line) error {
	err := b.first.write(lines)
	if second := b.second.write(lines); err == nil {
		err = second
	}
	return err
}
