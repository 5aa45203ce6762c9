package sandbox

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/wasi"
)

// fork is how instances of a command that is forked come about: each is started
// for nobody, held where it first reads its input, and goes on from there for one
// activation after the other. All are started with the same entropy and at the
// same time, so that their memories are the same, and one snapshot serves them all.
type fork struct {
	start   *start
	env     []string
	entropy [32]byte // what the guest's random bytes are made of
	time    time.Time

	// generators are where the guest's memory holds what its random numbers come
	// from, as far as they are not asked for anew.
	generators []uint32
}

// fork gives the start of a command that is forked, nil if it is not to be: one of
// an SDK offers a better way.
func (p *Program) fork(contract abi.Contract, policy Policy) (*start, error) {
	name := contract.Name()
	if !policy.Fork || policy.NoSnapshot || name != abi.Command && name != abi.ActionLoop || abi.Behind(contract, p.module.Exports()) != nil {
		return nil, nil
	}
	key := keyOf(contract.Name(), policy)
	key.forked = "forked\x00" + strings.Join(policy.Env, "\x00")
	if p.forks(key) > maxForks {
		return nil, nil
	}
	return p.startOf(key, func() *start {
		s := newStart(p, contract, policy)
		s.fork = newFork(s, policy.Env)
		return s
	})
}

// maxForks bounds the forks of one program. Each has a snapshot of its own, and
// lasts as long as the program does: they differ by the environments of actions.
const maxForks = 16

// forks counts the forks of a program once that of a key is among them.
func (p *Program) forks(with startKey) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 1
	for key := range p.starts {
		if key.forked != "" && key != with {
			n++
		}
	}
	return n
}

func newFork(s *start, env []string) *fork {
	f := &fork{start: s, env: env, time: time.Now()}
	_, _ = crand.Read(f.entropy[:]) // it never fails
	return f
}

// forks tells whether activations are to begin here, as far as that is known. They
// do so on the final module only.
func (s *start) forks() bool {
	p := s.prepared.Load()
	return s.program.Settled() && (p == nil || p.snapshot != nil)
}

// way is that to where a guest is held.
func (f *fork) way() way {
	h := &holding{fork: f}
	return way{contract: f.start.contract, started: true, bring: h.bring, configure: h.configure}
}

// holding is one start of a guest that is to be held.
type holding struct {
	*fork
	asked int // random bytes, by the guest
}

// bring starts the guest, and finds its generators if it is the first one.
func (h *holding) bring(ctx context.Context, guest *guest) (renewed []string, err error) {
	if err := hold(ctx, guest.Instance); err != nil {
		return nil, err
	}
	if h.asked > 0 && h.generators == nil {
		h.generators, err = h.find(ctx, guest.Memory(), h.asked)
	}
	return append(renewable(), "fd_read"), err // by which it is held
}

func hold(ctx context.Context, guest engine.Instance) error {
	holder, ok := guest.(engine.Holder)
	if !ok {
		return fmt.Errorf("%w: the engine cannot do that", engine.ErrNotHeld)
	}
	return holder.Hold(ctx, "_start")
}

// configure has the guest find what it would in any other start of this fork, and
// be held when it reads.
func (h *holding) configure(config *wasi.Config) {
	config.Env = h.env
	config.Hold = engine.ErrHold
	config.Random = &counted{Reader: rand.NewChaCha8(h.entropy), n: &h.asked}
	config.Now = h.clock()
	if h.start.contract.Feed(abi.Input{}).FD3 {
		config.Result = io.Discard
	}
}

// clock is a clock that goes on when it is looked at, a little slower than a guest
// can look: no later activation finds it set back.
func (f *fork) clock() func() time.Time {
	const tick = 20 * time.Nanosecond
	now := f.time
	return func() time.Time {
		now = now.Add(tick)
		return now
	}
}

// counted counts what is read.
type counted struct {
	io.Reader
	n *int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

var (
	errDraws       = errors.New("it asks for more random bytes than Go's runtime before it reads its input")
	errNoGenerator = errors.New("it asks for random bytes before it reads its input, and keeps them where they cannot be renewed")
)

// goEntropy is how many random bytes package runtime of Go asks for: a seed.
const goEntropy = 32

// find gives the generators of a guest that depend on the entropy it got, which
// shows in that those of another start have other seeds. A generator that the
// author gave a seed of his own is none of them.
func (f *fork) find(ctx context.Context, memory engine.Memory, asked int) ([]uint32, error) {
	if asked > goEntropy {
		return nil, errDraws
	}
	places := generators(memory)
	if len(places) == 0 {
		return nil, errNoGenerator
	}
	other := newFork(f.start, f.env)
	other.time, other.generators = f.time, []uint32{} // which nobody looks for
	twin, err := f.start.bring(ctx, other.way())
	if err != nil {
		return nil, err
	}
	defer func() { _ = twin.Close(context.WithoutCancel(ctx)) }()
	theirs := twin.Instance.Memory()
	if !slices.Equal(generators(theirs), places) {
		return nil, errNoGenerator
	}
	places = slices.DeleteFunc(places, func(place uint32) bool { return sameSeed(memory, theirs, place) })
	if len(places) == 0 {
		return nil, errNoGenerator
	}
	return places, nil
}

var errNotKept = fmt.Errorf("%w: the engine cannot put it back", engine.ErrNotHeld)

// take gives an instance that goes on with an input, and with random numbers, of
// its own. Where there can be none the activation begins again, elsewhere.
func (f *fork) take(ctx context.Context, p *preparation, shelf uint32) (*guest, error) {
	if p.snapshot == nil {
		return nil, errAgain
	}
	guest := f.start.idle.take(shelf)
	if guest == nil {
		var err error
		if guest, err = f.another(ctx, p.snapshot); err != nil {
			return nil, f.giveUp(ctx, p, err)
		}
	}
	for _, place := range f.generators {
		reseed(guest.Instance.Memory(), place)
	}
	return guest, nil
}

// another gives one more instance that is held as that of the snapshot was.
func (f *fork) another(ctx context.Context, held engine.Snapshot) (*guest, error) {
	guest, err := f.start.bring(ctx, f.way())
	if err != nil {
		return nil, err
	}
	if err := adopt(guest, held); err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return guest, nil
}

// giveUp has no activation begin here any more, unless it is only that this one
// has no time left.
func (f *fork) giveUp(ctx context.Context, p *preparation, why error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.start.prepared.CompareAndSwap(p, &preparation{why: why, contract: p.contract}) {
		_ = p.snapshot.Close()
		_ = f.start.idle.drain(context.WithoutCancel(ctx))
	}
	return errAgain
}
