// Package pool keeps programs, which are compiled modules with all that
// sandboxes of them share, and shares them by content between the containers
// that use them.
//
// The pool is bounded by the bytes of its programs; the least recently used go
// first, and never one in use. A module that several ask for at once is loaded
// once.
package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
)

// Key identifies a module by the SHA-256 of its binary.
type Key [32]byte

// LoadFunc makes the module of a key. It runs at most once at a time for a key;
// its context ends when nobody waits for the module any more.
type LoadFunc func(ctx context.Context) (engine.Module, error)

// DefaultMaxBytes bounds a pool where the configuration says nothing.
const DefaultMaxBytes = 512 << 20

// ErrClosed means that the pool was closed.
var ErrClosed = errors.New("pool is closed")

// Config bounds a pool.
type Config struct {
	// MaxBytes bounds the modules together; 0 means [DefaultMaxBytes]. Modules
	// in use stay, even past the bound.
	MaxBytes int64
}

// Stats counts what a pool holds and did.
type Stats struct {
	Modules, InUse          int
	Bytes                   int64
	Hits, Misses, Evictions uint64
}

// Pool keeps modules. It is safe for concurrent use.
type Pool struct {
	maxBytes int64
	loads    sync.WaitGroup

	mu      sync.Mutex
	entries map[Key]*entry
	idle    *list.List // of *entry, the least recently used in front
	stats   Stats
	closed  bool
}

// entry is a module, or the making of one.
type entry struct {
	key     Key
	program *sandbox.Program
	size    int64
	err     error
	done    chan struct{} // closed when program or err is set
	cancel  context.CancelFunc
	ahead   bool          // nobody who waits for it needs it
	request LoadFunc      // of the first who came while it was made ahead, and needs it
	users   int           // references, and callers that wait for one
	idle    *list.Element // nil while in use
}

// New returns an empty pool.
func New(config Config) *Pool {
	if config.MaxBytes == 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	return &Pool{maxBytes: config.MaxBytes, entries: map[Key]*entry{}, idle: list.New()}
}

// Get gives a reference to the module of key, made by load if the pool does not
// have it. Whoever comes while it is being made waits for the same module. The
// error is load's, or context.Cause(ctx) if ctx ends first; an error is not
// kept, so the next caller tries again.
func (p *Pool) Get(ctx context.Context, key Key, load LoadFunc) (*Ref, error) {
	return p.get(ctx, key, load, false)
}

// GetAhead is Get for one who does not need the module yet. That its load fails is nothing
// to those who came with Get meanwhile: the load of the first of them is next.
func (p *Pool) GetAhead(ctx context.Context, key Key, load LoadFunc) (*Ref, error) {
	return p.get(ctx, key, load, true)
}

func (p *Pool) get(ctx context.Context, key Key, load LoadFunc, ahead bool) (*Ref, error) {
	e, err := p.join(ctx, key, load, ahead)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		p.leave(e)
		return nil, context.Cause(ctx)
	}
	if e.err != nil {
		p.leave(e)
		return nil, e.err
	}
	return &Ref{pool: p, entry: e}, nil
}

// Has tells whether the pool has the module of key, made.
func (p *Pool) Has(key Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.entries[key]
	if !ok {
		return false
	}
	select {
	case <-e.done:
		return e.err == nil
	default:
		return false
	}
}

// join makes the caller a user of the entry of key.
func (p *Pool) join(ctx context.Context, key Key, load LoadFunc, ahead bool) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	e, ok := p.entries[key]
	if ok {
		p.stats.Hits++
	} else {
		p.stats.Misses++
		e = p.startLocked(ctx, key, load)
		e.ahead = ahead
	}
	if e.ahead && !ahead {
		e.ahead, e.request = false, load
	}
	e.users++
	p.unparkLocked(e)
	return e, nil
}

// startLocked begins to make a module on behalf of all who will wait for it, so
// that the first caller's going away does not take it from the others.
func (p *Pool) startLocked(ctx context.Context, key Key, load LoadFunc) *entry {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &entry{key: key, done: make(chan struct{}), cancel: cancel}
	p.entries[key] = e
	p.loads.Go(func() {
		defer cancel()
		module, err := guarded(ctx, load)
		if err != nil {
			module, err = p.loadRequested(ctx, e, err)
		}
		p.finish(ctx, e, module, err)
	})
	return e
}

// loadRequested goes on where a load ended with err: as one who needs the module would have
// made it, if one came while it was made ahead. Who comes after that begins anew.
func (p *Pool) loadRequested(ctx context.Context, e *entry, err error) (engine.Module, error) {
	p.mu.Lock()
	request := e.request
	if request == nil {
		p.forgetLocked(e)
	}
	p.mu.Unlock()
	if request == nil || ctx.Err() != nil {
		return nil, err
	}
	return guarded(ctx, request)
}

// guarded turns a panic of load into its error: on a goroutine of the pool's it
// would end the process.
func guarded(ctx context.Context, load LoadFunc) (module engine.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("load of module panicked: %v", p)
		}
	}()
	return load(ctx)
}

// finish settles an entry and forgets it if it came to nothing, or if nobody
// waited for it.
func (p *Pool) finish(ctx context.Context, e *entry, module engine.Module, err error) {
	p.mu.Lock()
	e.err, e.ahead, e.request = err, false, nil
	if err == nil {
		e.program, e.size = sandbox.NewProgram(module), module.Size()
	}
	close(e.done)
	var unwanted []*sandbox.Program
	switch {
	case err != nil:
		p.forgetLocked(e)
	case p.entries[e.key] != e: // abandoned, or the pool was closed
		if e.users == 0 {
			unwanted = append(unwanted, e.program)
		}
	default:
		p.stats.Bytes += e.size
		unwanted = p.evictLocked()
	}
	p.mu.Unlock()
	_ = closeAll(context.WithoutCancel(ctx), unwanted)
}

// leave ends one use of an entry. The making of a module that nobody waits for
// is cancelled.
func (p *Pool) leave(e *entry) {
	p.mu.Lock()
	e.users--
	var unwanted []*sandbox.Program
	if e.users == 0 && p.entries[e.key] == e {
		unwanted = p.parkLocked(e)
	} else if e.users == 0 && e.program != nil {
		unwanted = append(unwanted, e.program)
	}
	p.mu.Unlock()
	_ = closeAll(context.Background(), unwanted)
}

// parkLocked keeps the entry for the next user, or gives up making it or what it
// stands in for.
func (p *Pool) parkLocked(e *entry) (unwanted []*sandbox.Program) {
	if e.program == nil {
		p.forgetLocked(e)
		e.cancel()
		return nil
	}
	if !e.program.Settled() {
		p.forgetLocked(e)
		p.stats.Bytes -= e.size
		return []*sandbox.Program{e.program}
	}
	p.resizeLocked(e)
	e.idle = p.idle.PushBack(e)
	return p.evictLocked()
}

// resizeLocked takes notice that another module has taken the first one's place, and
// of snapshots.
func (p *Pool) resizeLocked(e *entry) {
	size := e.program.Size()
	p.stats.Bytes += size - e.size
	e.size = size
}

func (p *Pool) unparkLocked(e *entry) {
	if e.idle != nil {
		p.idle.Remove(e.idle)
		e.idle = nil
	}
}

func (p *Pool) forgetLocked(e *entry) {
	if p.entries[e.key] == e {
		delete(p.entries, e.key)
	}
}

// evictLocked takes out the least recently used modules past the bound.
func (p *Pool) evictLocked() (unwanted []*sandbox.Program) {
	for p.stats.Bytes > p.maxBytes && p.idle.Len() > 0 {
		e := p.idle.Remove(p.idle.Front()).(*entry)
		e.idle = nil
		delete(p.entries, e.key)
		p.stats.Bytes -= e.size
		p.stats.Evictions++
		unwanted = append(unwanted, e.program)
	}
	return unwanted
}

// closeAll runs without the lock: closing may take as long as it wants.
func closeAll(ctx context.Context, programs []*sandbox.Program) error {
	var errs []error
	for _, p := range programs {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}

// Stats tells what the pool holds and did so far.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Modules = len(p.entries)
	s.InUse = s.Modules - p.idle.Len()
	return s
}

// Close empties the pool and waits for what is being loaded, which is told to
// stop. Modules in use are closed by the release of their last reference.
func (p *Pool) Close(ctx context.Context) error {
	err := closeAll(ctx, p.empty())
	p.loads.Wait()
	return err
}

func (p *Pool) empty() (unwanted []*sandbox.Program) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for key, e := range p.entries {
		delete(p.entries, key)
		e.cancel()
		if e.idle != nil {
			unwanted = append(unwanted, e.program)
		}
	}
	p.idle.Init()
	p.stats.Bytes = 0
	return unwanted
}

// Ref is a use of a program. The program stays for as long as there is one.
type Ref struct {
	pool  *Pool
	entry *entry
	once  sync.Once
}

// Program is the program, valid until Release.
func (r *Ref) Program() *sandbox.Program { return r.entry.program }

// Release ends the use. It may be called twice.
func (r *Ref) Release() { r.once.Do(func() { r.pool.leave(r.entry) }) }
