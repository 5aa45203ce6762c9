package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// start is where sandboxes of a program begin. Where that is sound it is a
// snapshot, taken after the guest's start-up, so that no activation pays for
// that; otherwise one taken before it. Instances are put back there after use
// rather than thrown away.
type start struct {
	program  *Program
	contract abi.Contract
	limits   engine.Limits
	mounts   []wasi.Mount // of whom it was made for; others' have the same names
	anew     bool         // every sandbox goes through the guest's whole start-up

	preparing sync.Mutex
	prepared  atomic.Pointer[preparation]

	fork *fork // by which its instances come about; nil for those from snapshots
	idle idleInstances
}

// preparation is what came of the attempt to take a snapshot.
type preparation struct {
	snapshot engine.Snapshot // nil if there is none
	started  bool            // the snapshot is of a guest that has started
	rough    bool            // the guest has still to rehearse
	why      error           // it is not, or not as far as it could be
	contract abi.Contract    // by which its instances are asked
}

var errUnwanted = errors.New("the action or the engine has no snapshots")

func newStart(program *Program, contract abi.Contract, policy Policy) *start {
	s := &start{
		program:  program,
		contract: contract,
		limits:   engine.Limits{MemoryPages: policy.Limits.MemoryPages},
		mounts:   policy.Capabilities.Mounts,
		anew:     policy.NoSnapshot,
		idle:     newIdleInstances(),
	}
	if _, ok := program.module.(engine.Snapshotter); !ok {
		s.prepared.Store(&preparation{why: errUnwanted, contract: contract})
	}
	return s
}

// prepare takes the snapshot unless that was tried before, and another one after
// a rehearsal when there is a final module to rehearse on. The error is that of
// ctx; that there is no snapshot is none.
func (s *start) prepare(ctx context.Context) (*preparation, error) {
	if p := s.prepared.Load(); s.ready(p) {
		return p, nil
	}
	s.preparing.Lock()
	defer s.preparing.Unlock()
	last := s.prepared.Load()
	if s.ready(last) {
		return last, nil
	}
	next, err := s.better(ctx, last)
	if err != nil {
		return nil, err
	}
	s.prepared.Store(next)
	if last != nil && last.snapshot != next.snapshot {
		_ = last.snapshot.Close()
	}
	return next, nil
}

// ready tells whether nothing better can be had than what there is.
func (s *start) ready(p *preparation) bool {
	return p != nil && !(p.rough && s.program.Settled())
}

// better is what follows a preparation, nil before the first.
func (s *start) better(ctx context.Context, last *preparation) (*preparation, error) {
	if last != nil {
		return s.refine(ctx, last)
	}
	defer s.program.hurry()
	return s.attempt(ctx)
}

// asked is the contract by which sandboxes are asked, as far as that is known.
func (s *start) asked() abi.Contract {
	if p := s.prepared.Load(); p != nil {
		return p.contract
	}
	return s.contract
}

// way is a way to the state that a snapshot is taken of. It tells which functions
// may have been called on it whose answers do not last.
type way struct {
	contract  abi.Contract    // by which a guest is asked that went it
	from      engine.Snapshot // where it begins; nil for the binary
	started   bool            // nothing is left to do of the start-up
	bring     func(context.Context, *guest) (renewed []string, err error)
	configure func(*wasi.Config) // what the guest finds on it; nil for nothing
}

// ways are all there are, the best first.
func (s *start) ways() []way {
	if s.fork != nil {
		return []way{s.fork.way()}
	}
	unstarted := way{contract: s.contract, bring: s.notStarted}
	if s.anew {
		return []way{unstarted}
	}
	ways := []way{{contract: s.contract, started: true, bring: s.startUp}, unstarted}
	if reactor := abi.Behind(s.contract, s.program.module.Exports()); reactor != nil {
		ways = slices.Insert(ways, 0, way{contract: reactor, started: true, bring: s.serve})
	}
	return ways
}

// attempt takes the best snapshot that is sound.
func (s *start) attempt(ctx context.Context) (*preparation, error) {
	var why error
	if s.anew {
		why = errUnwanted
	}
	for _, w := range s.ways() {
		p, err := s.capture(ctx, w)
		if err == nil {
			p.why = why
			return p, nil
		}
		if errors.Is(err, errAgain) {
			return s.attempt(ctx)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		why = cmp.Or(why, err)
	}
	return &preparation{why: why, contract: s.contract}, nil
}

// refine takes the snapshot of a guest that has rehearsed, too. Where that is not
// to be had it was only to save time: the last snapshot stays.
func (s *start) refine(ctx context.Context, last *preparation) (*preparation, error) {
	_ = s.idle.drain(context.WithoutCancel(ctx))
	next, err := s.capture(ctx, way{contract: last.contract, from: last.snapshot, started: true, bring: rehearsed})
	if err == nil {
		return next, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	kept := *last
	kept.rough = false
	return &kept, nil
}

// warmUp is exported by SDKs that make a snapshot sound whatever their start-up
// asks the host for: at the beginning of each run they take environment and
// entropy anew. It is called once before the snapshot is taken, to do what need
// not be done in each run.
const warmUp = "ow_warm_up"

// rehearse is exported by SDKs that can do more of that kind, for the sake of
// time alone. It is called once after the warm-up on a final module: somebody
// waits for a guest that is interpreted.
const rehearse = "ow_rehearse"

// capture brings a guest to the state in question, and takes that.
func (s *start) capture(ctx context.Context, w way) (*preparation, error) {
	guest, err := s.bring(ctx, w)
	if err != nil {
		return nil, err
	}
	snapshot, err := guest.tier.module.(engine.Snapshotter).Capture(guest.Instance)
	if err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	p := &preparation{snapshot: snapshot, started: w.started, rough: guest.rough, contract: w.contract}
	if s.keep(guest, p) {
		return p, nil
	}
	_ = guest.Close(context.WithoutCancel(ctx))
	if s.fork != nil {
		return nil, errors.Join(errNotKept, snapshot.Close())
	}
	return p, nil
}

// bring makes a guest with nothing of any activation, and takes it on a way.
func (s *start) bring(ctx context.Context, w way) (_ *guest, err error) {
	out := newCapture(Limits{}.WithDefaults())
	config := s.nobody(out)
	if w.configure != nil {
		w.configure(&config)
	}
	system := wasi.NewSystem(config)
	defer system.Close()
	hosts := host.NewSystem(host.Config{})
	defer hosts.Close()
	ctx = s.program.onTier(host.NewContext(wasi.NewContext(ctx, system), hosts), system, hosts)

	guest, err := s.instance(ctx, w.from)
	if err != nil {
		return nil, verdict(ctx, err)
	}
	renewed, err := w.bring(ctx, guest)
	if err == nil {
		err = sound(system, hosts, renewed)
	}
	if err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, verdict(ctx, err)
	}
	return guest, nil
}

// instance makes an instance in the state of a snapshot, or as its binary describes
// it if there is none.
func (s *start) instance(ctx context.Context, from engine.Snapshot) (*guest, error) {
	return s.program.make(ctx, func(m engine.Module) (engine.Instance, error) {
		if from == nil {
			return m.Instantiate(ctx, s.limits)
		}
		return m.(engine.Snapshotter).Restore(ctx, from, s.limits)
	})
}

// keep has the guest that was captured serve the first activation, if it is as
// good as one from the snapshot.
func (s *start) keep(guest *guest, p *preparation) bool {
	_, resets := guest.Instance.(engine.Resetter)
	adopter, adopts := p.snapshot.(engine.Adopter)
	if !resets || !adopts || adopter.Adopt(guest.Instance) != nil {
		return false
	}
	guest.from = p
	return s.idle.put(guest, 0)
}

// startUp starts a guest, as far as that can be done for nobody.
func (s *start) startUp(ctx context.Context, guest *guest) (renewed []string, err error) {
	if err := s.contract.Initialize(ctx, guest); err != nil || s.contract.Name() != abi.Reactor {
		return nil, err
	}
	return warmedUp(ctx, guest)
}

// warmedUp lets a guest warm up that can, and rehearse where that is quick.
func warmedUp(ctx context.Context, guest *guest) (renewed []string, err error) {
	_, err = guest.Call(ctx, warmUp)
	if errors.Is(err, engine.ErrNoExport) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if guest.tier.provisional {
		guest.rough = slices.ContainsFunc(guest.tier.module.Exports(), isRehearsal)
		return renewable(), nil
	}
	return rehearsed(ctx, guest)
}

func isRehearsal(e engine.Export) bool { return e.Name == rehearse }

// rehearsed lets a guest rehearse that has warmed up, if it can.
func rehearsed(ctx context.Context, guest *guest) (renewed []string, err error) {
	_, err = guest.Call(ctx, rehearse)
	if errors.Is(err, engine.ErrNoExport) {
		err = nil
	}
	return renewable(), err
}

// notStarted leaves a guest as it was made: with the memory that its binary
// describes, and nothing done yet but its start function.
func (s *start) notStarted(context.Context, *guest) (renewed []string, err error) {
	return nil, nil
}

// nobody is the system of a guest that starts for nobody in particular. It finds
// its directories by their names; if it looks into them the snapshot is not
// sound.
func (s *start) nobody(out *capture) wasi.Config {
	config := wasi.Config{Args: []string{"action"}, Stdout: out.stdout(), Stderr: out.stderr(), Ready: errReady}
	for _, m := range s.mounts {
		m.Access = wasi.ReadOnly
		config.Mounts = append(config.Mounts, m)
	}
	return config
}

// lasting are the functions whose answers are the same for every sandbox of a
// start.
func lasting() []string {
	return []string{"fd_prestat_get", "fd_prestat_dir_name", "fd_fdstat_get", "fd_fdstat_set_flags", "sched_yield"}
}

// renewable are the functions whose answers an SDK with a warm-up takes anew.
func renewable() []string {
	return []string{
		"args_get", "args_sizes_get", "clock_res_get", "clock_time_get",
		"environ_get", "environ_sizes_get", "poll_oneoff", "random_get",
	}
}

// sound tells why a start-up would have to be done again for every activation.
func sound(system *wasi.System, hosts *host.System, renewed []string) error {
	if hosts.Called() {
		return errors.New("it calls the host while it starts")
	}
	for _, name := range system.Called() {
		if !slices.Contains(lasting(), name) && !slices.Contains(renewed, name) {
			return fmt.Errorf("it calls %s while it starts", name)
		}
	}
	return nil
}

// take gives an instance that is ready for an input, one that lies on the shelf
// if possible.
func (s *start) take(ctx context.Context, shelf uint32) (*guest, error) {
	p, err := s.prepare(ctx)
	if err != nil {
		return nil, err
	}
	if s.fork != nil {
		return s.fork.take(ctx, p, shelf)
	}
	guest, err := s.get(ctx, p, shelf)
	if err != nil || p.started {
		return guest, err
	}
	if err := s.contract.Initialize(ctx, guest.Instance); err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return guest, nil
}

// get gives an instance in the state of the snapshot, or one as it is made if
// there is none.
func (s *start) get(ctx context.Context, p *preparation, shelf uint32) (*guest, error) {
	if p.snapshot == nil {
		return s.instance(ctx, nil)
	}
	if guest := s.idle.take(shelf); guest != nil {
		return guest, nil
	}
	guest, err := s.instance(ctx, p.snapshot)
	if err == nil {
		guest.from = p
		return guest, nil
	}
	if next := s.prepared.Load(); next != p { // whose snapshot was closed
		return s.get(ctx, next, shelf)
	}
	return nil, err
}

// put takes an instance back whose last call ended with err.
func (s *start) put(ctx context.Context, guest *guest, shelf uint32, err error) {
	if !s.recycle(guest, shelf, err) {
		_ = guest.Close(context.WithoutCancel(ctx))
	}
}

// recycle puts an instance back to its start if that makes it as good as a new
// one: it came from the snapshot that is the present one, its call ended in order,
// nothing but its memory and globals has changed, and new ones are of the same
// tier.
func (s *start) recycle(guest *guest, shelf uint32, err error) bool {
	resetter, ok := guest.Instance.(engine.Resetter)
	return ok && orderly(err) && guest.from == s.prepared.Load() && guest.tier == s.program.tier.Load() &&
		resetter.Reset() == nil && s.idle.put(guest, shelf)
}

// orderly tells whether a guest came to an end of its own. What it answered, or
// with which code it ended itself, does not matter here.
func orderly(err error) bool {
	return err == nil || is[*abi.ProtocolError](err) || is[*engine.ExitError](err)
}

func (s *start) close(ctx context.Context) error {
	err := s.idle.close(ctx)
	if p := s.prepared.Load(); p != nil && p.snapshot != nil {
		err = errors.Join(err, p.snapshot.Close())
	}
	return err
}
