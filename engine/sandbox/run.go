package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// Run runs one activation in a sandbox of its own. It ends soon after the
// activation's deadline or the end of ctx, whatever the guest does, and never
// panics.
func (t *Template) Run(ctx context.Context, a Activation) (out Outcome) {
	defer recoverInto(&out)
	if n := len(a.Input); n > t.policy.Limits.PayloadBytes {
		return failed(&engine.LimitError{
			What: "payload", Unit: "bytes", Limit: uint64(t.policy.Limits.PayloadBytes), Wanted: uint64(n),
		})
	}
	for out.Err = errAgain; errors.Is(out.Err, errAgain); {
		out = t.open(ctx, a).run()
	}
	return out
}

// Probe learns before the first activation whether the guest starts at all, and
// does once what all sandboxes of it can share. Its outcome has no result.
func (t *Template) Probe(ctx context.Context) (out Outcome) {
	defer recoverInto(&out)
	if err := t.start.program.refusal(); err != nil {
		return failed(err)
	}
	var timings Timings
	prepared, err := t.prepare(ctx, &timings)
	if err != nil || prepared.started {
		return Outcome{Status: StatusOf(err), Err: err, Timings: timings, Logs: t.unforked()}
	}
	for out.Err = errAgain; errors.Is(out.Err, errAgain); {
		out = t.open(ctx, Activation{Input: json.RawMessage("{}")}).probe()
	}
	out.Timings.Snapshot = timings.Snapshot
	out.Logs.Lines = append(t.unforked().Lines, out.Logs.Lines...)
	return out
}

// unforked says why a command is not forked that was to be.
func (t *Template) unforked() Logs {
	if t.forked == nil {
		return Logs{}
	}
	p := t.forked.prepared.Load()
	if p == nil || p.snapshot != nil {
		return Logs{}
	}
	text := "The action is not forked, but started for each activation: " + p.why.Error() + "."
	return Logs{Lines: []Line{{Time: time.Now(), Stream: Stderr, Text: text}}}
}

// prepare tells no time for an action that wants no snapshot of its start-up: that
// its instances are put back to before that takes next to none.
func (t *Template) prepare(ctx context.Context, timings *Timings) (*preparation, error) {
	start := t.next()
	if start.prepared.Load() == nil && !t.policy.NoSnapshot {
		defer measure(&timings.Snapshot)()
	}
	p, err := start.prepare(ctx)
	if err != nil || p.snapshot != nil || start == t.start {
		return p, err
	}
	return t.start.prepare(ctx)
}

// recoverInto makes a bug of ours the outcome of one activation rather than the
// end of the process.
func recoverInto(out *Outcome) {
	if p := recover(); p != nil {
		*out = failed(fmt.Errorf("sandbox panicked: %v", p))
	}
}

func failed(err error) Outcome { return Outcome{Status: StatusOf(err), Err: err} }

// sandbox is an instance and all that confines one activation. All but the
// instance is used again for another activation, after everything in it was set
// anew.
type sandbox struct {
	template *Template
	start    *start
	shelf    uint32 // for its instances
	deadline deadlineContext
	confined context.Context //nolint:containedctx // made once, for host functions to find the sandbox in
	wasi     wasi.System
	host     host.System
	captured capture
	log      func(host.Level, []byte) // to captured
	stdin    bytes.Reader

	input   abi.Input
	guest   *guest
	timings Timings
	watch   stopwatch
}

func newSandbox(t *Template) *sandbox {
	s := &sandbox{template: t, shelf: t.made.Add(1)}
	s.log = s.captured.log
	s.confined = host.NewContext(wasi.NewContext(&s.deadline, &s.wasi), &s.host)
	return s
}

// open prepares what the guest will find; no guest code runs yet.
func (t *Template) open(ctx context.Context, a Activation) *sandbox {
	s := t.sandboxes.Get().(*sandbox)
	s.start = t.next()
	s.deadline.begin(ctx, a.Deadline)
	s.input = abi.Input{Value: a.Input, Context: a.Context, MaxResult: t.policy.Limits.ResultBytes}
	s.captured.reset(t.policy.Limits)
	if t.usesWASI {
		s.wasi.Reset(s.wasiConfig(a))
	}
	s.host.Reset(host.Config{HTTP: t.policy.Capabilities.HTTP, Log: s.log, Deadline: a.Deadline})
	s.guest, s.timings = nil, Timings{}
	s.watch.start()
	return s
}

func (s *sandbox) wasiConfig(a Activation) wasi.Config {
	policy := &s.template.policy
	feed := s.start.asked().Feed(s.input)
	s.stdin.Reset(feed.Stdin)
	args, env := feed.Args, policy.Env
	if s.start.fork != nil {
		args = args[:1]
	} else {
		env = environment(env, a.Context)
	}
	config := wasi.Config{
		Args:   args,
		Env:    env,
		Stdin:  &s.stdin,
		Stdout: s.captured.stdout(),
		Stderr: s.captured.stderr(),
		Mounts: policy.Capabilities.Mounts,
	}
	if feed.FD3 {
		config.Result = &s.captured.fd3
	}
	return config
}

// environment lets the activation's context win over what the action was
// initialised with.
func environment(env []string, c abi.Context) []string {
	all := make([]string, 0, len(env)+len(c))
	own := c.Env()
	for _, entry := range env {
		if !overridden(entry, own) {
			all = append(all, entry)
		}
	}
	return append(all, own...)
}

// run takes the sandbox from its first instruction to its outcome.
func (s *sandbox) run() Outcome {
	ctx := s.onTier()
	result, err := s.answer(ctx)
	return s.end(result, verdict(ctx, err))
}

func (s *sandbox) probe() Outcome {
	ctx := s.onTier()
	return s.end(nil, verdict(ctx, s.begin(ctx)))
}

func (s *sandbox) onTier() context.Context {
	return s.template.start.program.onTier(s.confined, &s.wasi, &s.host)
}

// end closes the sandbox and leaves it to another activation. What it refers to
// goes then, or with the pool at the next but one collection.
func (s *sandbox) end(result json.RawMessage, err error) Outcome {
	s.close(err)
	out := s.outcome(result, err)
	if s.deadline.end() {
		s.template.sandboxes.Put(s)
	}
	return out
}

func (s *sandbox) answer(ctx context.Context) (json.RawMessage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	result, err := s.start.asked().Invoke(ctx, s.guest.Instance, s.input, &s.captured)
	if err == nil && len(result) > s.input.MaxResult {
		err = resultTooLong(len(result), s.input.MaxResult)
	}
	s.timings.Run = s.watch.lap()
	return result, err
}

// begin gets an instance that is ready for the input.
func (s *sandbox) begin(ctx context.Context) (err error) {
	defer func() { s.timings.Instantiate = s.watch.lap() }()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.guest, err = s.start.take(ctx, s.shelf)
	return err
}

// close frees what the sandbox holds. The instance is put back by the goroutine
// that called it, after the call: never beside it.
func (s *sandbox) close(ended error) {
	if s.guest != nil {
		s.start.put(s.confined, s.guest, s.shelf, ended)
	}
	s.host.Close()
	_ = s.wasi.Close()
	s.timings.Close = s.watch.lap()
}

func (s *sandbox) outcome(result json.RawMessage, err error) Outcome {
	out := Outcome{Status: StatusOf(err), Err: err, Logs: s.captured.logs(), Timings: s.timings}
	out.Provisional = s.guest != nil && s.guest.tier.provisional
	if err != nil {
		return out
	}
	if abi.HasError(result) {
		out.Status = ApplicationError
	}
	out.Result = result
	return out
}

func resultTooLong(n, limit int) error {
	return &engine.LimitError{What: "result", Unit: "bytes", Limit: uint64(limit), Wanted: uint64(n)}
}

// measure stores the time from now until the function that it gives is called.
func measure(d *time.Duration) func() {
	began := time.Now()
	return func() { *d = time.Since(began) }
}

// stopwatch times what follows each other: a look at the clock ends one part and
// begins the next.
type stopwatch struct {
	began time.Time
	last  time.Duration // since then
}

func (w *stopwatch) start() { *w = stopwatch{began: time.Now()} }

// lap is the time since the last one.
func (w *stopwatch) lap() time.Duration {
	now := time.Since(w.began)
	took := now - w.last
	w.last = now
	return took
}

// overridden tells whether one of the later entries sets the same variable.
func overridden(entry string, later []string) bool {
	name, _, _ := strings.Cut(entry, "=")
	return slices.ContainsFunc(later, func(l string) bool { return strings.HasPrefix(l, name+"=") })
}
