package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
)

// Program is a module with what all sandboxes of it share, whoever they are for:
// where they start, and instances that were put back there. It is safe for
// concurrent use.
//
// Of an [engine.Provisional] module it has the final one made as soon as a guest has
// started, and runs sandboxes on that from then on.
type Program struct {
	module engine.Module // that it was made of, which may be closed

	tier    atomic.Pointer[tier] // nil where sandboxes wait for the final one
	due     chan struct{}        // closed when the final tier is to be made
	settled chan struct{}        // closed when there will be no other tier
	failed  error                // why there is no final tier, once settled
	cancel  context.CancelFunc
	hurry   func()         // closes due
	stored  atomic.Int32   // starts that were to be kept for later processes
	beside  sync.WaitGroup // what is written while sandboxes run

	mu     sync.Mutex
	starts map[startKey]*start
	closed bool
}

// startKey tells starts apart: sandboxes begin alike only if all of this is the
// same.
type startKey struct {
	contract   abi.Name
	pages      uint32
	mounts     string
	noSnapshot bool
	forked     string // what a command that is forked finds; empty for any other
}

// NewProgram takes the module over.
func NewProgram(module engine.Module) *Program {
	p := &Program{module: module, starts: map[startKey]*start{}, due: make(chan struct{}), settled: make(chan struct{})}
	p.hurry = sync.OnceFunc(func() { close(p.due) })
	first, ok := module.(engine.Provisional)
	p.tier.Store(&tier{module: module, provisional: ok})
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if ok {
		go p.settle(ctx, first)
	} else {
		close(p.settled)
	}
	return p
}

// startPatience is how long a guest that starts has the machine for itself. Compiling
// takes many times as long.
const startPatience = 250 * time.Millisecond

// settle has the final module made, and puts it in the place of the first. One
// that cannot be made for reasons that are not the binary's leaves the first
// where it is.
func (p *Program) settle(ctx context.Context, first engine.Provisional) {
	defer close(p.settled)
	select {
	case <-p.due:
	case <-time.After(startPatience):
	case <-ctx.Done():
		p.failed = context.Cause(ctx)
		return
	}
	final, err := finalOf(ctx, first)
	switch {
	case err == nil:
		p.replace(ctx, &tier{module: final})
	case is[*engine.InvalidModuleError](err):
		p.failed = err
		p.replace(ctx, nil)
	default:
		p.failed = fmt.Errorf("make final module: %w", err)
	}
}

// finalOf turns a panic into an error: on a goroutine of ours it would end the
// process.
func finalOf(ctx context.Context, first engine.Provisional) (_ engine.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	return first.Final(ctx)
}

// replace has sandboxes run on another tier, or on none.
func (p *Program) replace(ctx context.Context, next *tier) {
	if last := p.tier.Swap(next); last != nil {
		p.retire(ctx, last)
	}
}

// withdraw has sandboxes wait for the final tier, unless it is there.
func (p *Program) withdraw(ctx context.Context, t *tier) {
	p.hurry()
	if p.tier.CompareAndSwap(t, nil) {
		p.retire(context.WithoutCancel(ctx), t)
	}
}

// retire closes what is left of a tier that no sandbox begins on any more. An
// instance that is put back at this moment may be used once again.
func (p *Program) retire(ctx context.Context, t *tier) {
	for _, s := range p.allStarts() {
		_ = s.idle.drain(ctx)
	}
	_ = t.retire(ctx)
}

func (p *Program) allStarts() []*start {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*start
	for _, s := range p.starts {
		all = append(all, s)
	}
	return all
}

// make makes an instance on the tier that sandboxes run on.
func (p *Program) make(ctx context.Context, how func(engine.Module) (engine.Instance, error)) (*guest, error) {
	for {
		t, err := p.running(ctx)
		if err != nil {
			return nil, err
		}
		if t.enter() { // or it has just been replaced
			instance, err := makeOn(t, how)
			if err != nil {
				return nil, err
			}
			return &guest{Instance: instance, tier: t}, nil
		}
	}
}

func makeOn(t *tier, how func(engine.Module) (engine.Instance, error)) (engine.Instance, error) {
	defer t.leave()
	return how(t.module)
}

// running gives the tier that sandboxes run on, and waits for it if need be.
func (p *Program) running(ctx context.Context) (*tier, error) {
	if t := p.tier.Load(); t != nil {
		return t, nil
	}
	if err := p.Settle(ctx); err != nil {
		return nil, err
	}
	return p.tier.Load(), nil
}

// Settle waits until sandboxes run on the final module. The error says why there
// is none, or is context.Cause(ctx).
func (p *Program) Settle(ctx context.Context) error {
	p.hurry()
	select {
	case <-p.settled:
		return p.failed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Settled tells whether sandboxes run on the final module.
func (p *Program) Settled() bool {
	t := p.tier.Load()
	return t != nil && !t.provisional
}

// refusal says why nothing runs any more, nil as long as something does.
func (p *Program) refusal() error {
	select {
	case <-p.settled:
		if p.tier.Load() == nil {
			return p.failed
		}
	default:
	}
	return nil
}

// Module is what the program was made of.
func (p *Program) Module() engine.Module { return p.module }

// Size estimates the host memory that the program holds at the moment, without
// the instances that it keeps, in bytes.
func (p *Program) Size() (bytes int64) {
	if t := p.tier.Load(); t != nil {
		bytes = t.module.Size()
	}
	for _, s := range p.allStarts() {
		if prepared := s.prepared.Load(); prepared != nil && prepared.snapshot != nil {
			bytes += prepared.snapshot.Size()
		}
	}
	return bytes
}

// Close releases the program, and waits until nobody makes its final module any
// more. No sandbox of it may be running.
func (p *Program) Close(ctx context.Context) error {
	p.cancel()
	<-p.settled
	p.beside.Wait()
	p.mu.Lock()
	starts := p.starts
	p.starts, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	for _, s := range starts {
		errs = append(errs, s.close(ctx))
	}
	if t := p.tier.Load(); t != nil {
		errs = append(errs, t.retire(ctx))
	}
	return errors.Join(errs...)
}

var errClosedProgram = errors.New("program is closed")

// start gives the start that all sandboxes under such a policy have in common.
func (p *Program) start(contract abi.Contract, policy Policy) (*start, error) {
	key := keyOf(contract.Name(), policy)
	return p.startOf(key, func() *start {
		s := newStart(p, contract, policy)
		if policy.stores() {
			s.store, s.name = policy.Store, storedName(policy)
		}
		return s
	})
}

func keyOf(contract abi.Name, policy Policy) startKey {
	var mounts strings.Builder
	for _, m := range policy.Capabilities.Mounts {
		mounts.WriteString(m.Guest + "\x00")
	}
	return startKey{
		contract: contract, pages: policy.Limits.MemoryPages,
		mounts: mounts.String(), noSnapshot: policy.NoSnapshot,
	}
}

// startOf gives the start of a key, making it if need be.
func (p *Program) startOf(key startKey, begin func() *start) (*start, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosedProgram
	}
	if p.starts[key] == nil {
		p.starts[key] = begin()
	}
	return p.starts[key], nil
}
