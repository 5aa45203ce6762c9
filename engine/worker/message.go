package worker

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"time"

	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/wasi"
)

// assignment is the first message to a worker: whose activations it will run.
// Descriptors come with it, of the artefact's directory, if there is one, and of
// the mounts. A binary follows.
type assignment struct {
	Contract    abi.Name       `json:"contract,omitempty"`
	Limits      sandbox.Limits `json:"limits"`
	Env         []string       `json:"env,omitempty"`
	NoSnapshot  bool           `json:"no_snapshot,omitempty"`
	Fork        bool           `json:"fork,omitempty"`
	Net         *host.Policy   `json:"net,omitempty"`
	Mounts      []mount        `json:"mounts,omitempty"`
	MemoryBytes int64          `json:"memory_bytes"`
	Activations int            `json:"activations"` // at once; 0 for any number

	Fingerprint  string `json:"fingerprint,omitempty"` // of the artefact; empty if a binary follows
	ArtefactPath string `json:"artefact_path,omitempty"`
}

type mount struct {
	Guest  string      `json:"guest"`
	Access wasi.Access `json:"access"`
}

func (a assignment) encode(binary []byte) ([]byte, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	var e encoder
	e.bytes(text)
	return append(e, binary...), nil
}

func decodeAssignment(payload []byte) (a assignment, binary []byte, err error) {
	d := decoder{rest: payload}
	text := d.bytes()
	if d.err != nil {
		return a, nil, d.err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, nil, violated("assignment: %v", err)
	}
	return a, d.rest, nil
}

// readiness is a worker's answer to its assignment.
type readiness struct {
	Contract abi.Name    `json:"contract,omitempty"`
	Walls    Confinement `json:"walls"`
	Fault    *fault      `json:"fault,omitempty"` // why it cannot do what it was assigned
}

func encodeActivation(a sandbox.Activation) []byte {
	e := make(encoder, 0, 64+len(a.Input)+48*len(a.Context))
	e.time(a.Deadline)
	e.uint(uint64(len(a.Context)))
	for _, f := range a.Context {
		e.string(f.Name)
		e.string(f.Value)
	}
	return append(e, a.Input...)
}

// fieldBytes is the least that a field of a context takes.
const fieldBytes = 2

func decodeActivation(payload []byte) (sandbox.Activation, error) {
	d := decoder{rest: payload}
	a := sandbox.Activation{Deadline: d.time()}
	if n := d.count(fieldBytes); n > 0 {
		a.Context = make(abi.Context, n)
	}
	for i := range a.Context {
		a.Context[i] = abi.Field{Name: d.string(), Value: d.string()}
	}
	a.Input = d.rest
	return a, d.err
}

// encodeOutcome leaves the status out: it follows from the rest.
func encodeOutcome(out sandbox.Outcome) ([]byte, error) {
	e := make(encoder, 0, 64+len(out.Result))
	text, err := encodeFault(out.Err)
	if err != nil {
		return nil, err
	}
	e.bytes(text)
	e.bytes(out.Result)
	t := out.Timings
	for _, took := range []time.Duration{t.Snapshot, t.Instantiate, t.Run, t.Close} {
		e.uint(uint64(max(took, 0)))
	}
	e.uint(boolean(out.Logs.Truncated))
	e.uint(uint64(len(out.Logs.Lines)))
	for _, line := range out.Logs.Lines {
		e.time(line.Time)
		e.uint(uint64(line.Stream))
		e.string(line.Text)
	}
	return e, nil
}

// lineBytes is the least that a line takes, and lineRoom the most beside its text.
const (
	lineBytes = 3
	lineRoom  = 2*binary.MaxVarintLen64 + 1
)

// outcomeRoom is room for all of an outcome but its result and its logs.
const outcomeRoom = 256 << 10

// outcomeBytes bounds an outcome on the wire.
func outcomeBytes(l sandbox.Limits) int {
	return outcomeRoom + l.ResultBytes + l.LogBytes + lineRoom*l.LogLines()
}

// decodeOutcome checks all that a sandbox of this process vouches for: the
// worker may be a hostile guest's by now.
func decodeOutcome(payload []byte, limits sandbox.Limits) (sandbox.Outcome, error) {
	var out sandbox.Outcome
	d := decoder{rest: payload}
	fault, result := d.bytes(), d.bytes()
	if len(fault) > outcomeRoom {
		d.fail("an error of %d bytes, at most %d may come", len(fault), outcomeRoom)
	}
	t := &out.Timings
	for _, took := range []*time.Duration{&t.Snapshot, &t.Instantiate, &t.Run, &t.Close} {
		*took = time.Duration(d.uint() & math.MaxInt64)
	}
	out.Logs = d.logs(limits)
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	if d.err != nil {
		return sandbox.Outcome{}, d.err
	}
	out.Err = d.fault(fault)
	if out.Err == nil {
		out.Result = d.result(result, limits.ResultBytes)
	}
	out.Status = sandbox.StatusOf(out.Err)
	if out.Err == nil && abi.HasError(out.Result) {
		out.Status = sandbox.ApplicationError
	}
	return out, d.err
}

// logs reads lines that are lines, and no more than a guest may write.
func (d *decoder) logs(limits sandbox.Limits) (logs sandbox.Logs) {
	logs.Truncated = d.uint() != 0
	n := d.count(lineBytes)
	if most := limits.LogLines(); n > most {
		d.fail("logs of %d lines, at most %d may come", n, most)
		return logs
	}
	if n > 0 {
		logs.Lines = make([]sandbox.Line, n)
	}
	size := 0
	for i := range logs.Lines {
		line := sandbox.Line{Time: d.time(), Stream: d.stream(), Text: d.string()}
		if strings.Contains(line.Text, "\n") {
			d.fail("a line of the log has several")
		}
		size += len(line.Text) + 1
		logs.Lines[i] = line
	}
	if size > limits.LogBytes {
		d.fail("logs of %d bytes, at most %d may come", size, limits.LogBytes)
	}
	return logs
}

func (d *decoder) stream() sandbox.Stream {
	s := d.uint()
	if s > uint64(sandbox.Stderr) {
		d.fail("stream %d", s)
	}
	return sandbox.Stream(s)
}

// result is nil for the outcome of a probe.
func (d *decoder) result(raw []byte, limit int) json.RawMessage {
	switch {
	case len(raw) == 0:
		return nil
	case len(raw) > limit:
		d.fail("a result of %d bytes, at most %d may come", len(raw), limit)
	case !json.Valid(raw) || raw[0] != '{' && raw[0] != '[':
		d.fail("a result that is no JSON object or array")
	}
	return raw
}

// encoder is what was encoded so far.
type encoder []byte

func (e *encoder) uint(v uint64) { *e = binary.AppendUvarint(*e, v) }

func (e *encoder) bytes(b []byte) {
	e.uint(uint64(len(b)))
	*e = append(*e, b...)
}

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	*e = append(*e, s...)
}

// time is exact by the wall clock, and 0 for the zero time.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.uint(0)
		return
	}
	e.uint(uint64(t.UnixNano()))
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// decoder reads what is left. After an error it reads zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = violated(format, args...)
	}
	d.rest = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many things follow that have so many bytes at least.
func (d *decoder) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.rest)/least) {
		d.fail("%d things in %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

// bytes aliases what it reads from.
func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) time() time.Time {
	nanos := d.uint()
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanos))
}
