package sandbox

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
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

	store Store // of its snapshot; nil for none
	name  string

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

// prepare takes the snapshot unless that was tried before, and once more after a
// rehearsal when there is a final module to rehearse on. The error is that of ctx;
// that there is no snapshot is none.
func (s *start) prepare(ctx context.Context) (*preparation, error) {
	p := s.prepared.Load()
	switch {
	case p == nil:
		return s.first(ctx)
	case p.rough && s.program.Settled():
		return s.refined(ctx, p)
	}
	return p, nil
}

func (s *start) first(ctx context.Context) (*preparation, error) {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	if p := s.prepared.Load(); p != nil {
		return p, nil
	}
	defer s.program.hurry()
	if p := s.recall(); p != nil {
		s.prepared.Store(p)
		return p, nil
	}
	p, guest, err := s.attempt(ctx)
	if err != nil {
		return nil, err
	}
	s.publish(ctx, p, guest)
	return p, nil
}

// refined gives what follows a rough preparation. Others begin with that as long
// as it takes.
func (s *start) refined(ctx context.Context, rough *preparation) (*preparation, error) {
	if !s.preparing.TryLock() {
		return rough, nil
	}
	defer s.preparing.Unlock()
	if p := s.prepared.Load(); p != rough {
		return p, nil
	}
	p, guest, err := s.refine(ctx, rough)
	if err != nil {
		return nil, err
	}
	s.publish(ctx, p, guest)
	return p, nil
}

// publish has sandboxes begin with a preparation, the next one of them with a guest
// if there is one.
func (s *start) publish(ctx context.Context, next *preparation, guest *guest) {
	last := s.prepared.Swap(next)
	if last != nil && last.snapshot != next.snapshot {
		_ = errors.Join(s.idle.drain(context.WithoutCancel(ctx)), last.snapshot.Close())
	}
	if guest != nil && !s.shelve(ctx, guest, 0) {
		_ = guest.Close(context.WithoutCancel(ctx))
	}
	s.save(next)
}

// asked is the contract by which sandboxes are asked, as far as that is known.
func (s *start) asked() abi.Contract {
	if p := s.prepared.Load(); p != nil {
		return p.contract
	}
	return s.contract
}

// attempt takes the best snapshot that is sound. It gives the guest that it took
// it of, too, if that is as good as one from the snapshot.
func (s *start) attempt(ctx context.Context) (*preparation, *guest, error) {
	var why error
	if s.anew {
		why = errUnwanted
	}
	for _, w := range s.ways() {
		p, guest, err := s.capture(ctx, w)
		if is[*rehearsalError](err) && ctx.Err() == nil {
			w.rehearses = false
			p, guest, err = s.capture(ctx, w)
		}
		if err == nil {
			p.why = why
			return p, guest, nil
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if errors.Is(err, errAgain) {
			return s.attempt(ctx)
		}
		why = cmp.Or(why, err)
	}
	return &preparation{why: why, contract: s.contract}, nil, nil
}

// refine takes the snapshot of a guest that has rehearsed, too. A rehearsal only
// saves time: one that fails is not tried again, and the last snapshot stays.
func (s *start) refine(ctx context.Context, rough *preparation) (*preparation, *guest, error) {
	p, guest, err := s.capture(ctx, way{
		contract: rough.contract, from: rough.snapshot, started: true, rehearses: true, bring: warmedUpBefore,
	})
	if err == nil {
		return p, guest, nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil, nil, context.Cause(ctx)
	}
	kept := *rough
	kept.rough = false
	return &kept, nil, nil
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
		guest.from = p.snapshot
		return guest, nil
	}
	if next := s.prepared.Load(); next != p { // whose snapshot was closed
		return s.get(ctx, next, shelf)
	}
	return nil, err
}

// put takes an instance back whose last call ended with err.
func (s *start) put(ctx context.Context, guest *guest, shelf uint32, err error) {
	if !s.recycle(ctx, guest, shelf, err) {
		_ = guest.Close(context.WithoutCancel(ctx))
	}
}

// recycle puts an instance back to its start if that makes it as good as a new
// one: new ones would be like it, its call ended in order, and nothing but its
// memory and globals has changed.
func (s *start) recycle(ctx context.Context, guest *guest, shelf uint32, err error) bool {
	resetter, ok := guest.Instance.(engine.Resetter)
	return ok && orderly(err) && s.current(guest) && resetter.Reset() == nil && s.shelve(ctx, guest, shelf)
}

// current tells whether a new instance would come from the same snapshot, and be
// of the same tier.
func (s *start) current(guest *guest) bool {
	return guest.from != nil && guest.from == s.prepared.Load().snapshot && guest.tier == s.program.tier.Load()
}

// shelve tells whether there was room for a guest on a shelf. Whoever replaces
// snapshot or tier drains the shelves after that, perhaps just before the guest
// came, so that one that is out of date by then has them drained again.
func (s *start) shelve(ctx context.Context, guest *guest, shelf uint32) bool {
	if !s.idle.put(guest, shelf) {
		return false
	}
	if !s.current(guest) {
		_ = s.idle.drain(context.WithoutCancel(ctx))
	}
	return true
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
