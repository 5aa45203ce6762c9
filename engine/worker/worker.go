// Package worker runs activations in processes other than this one: a second
// wall around guests, and the only one around engines that a guest can crash.
//
// A [Supervisor] starts worker processes, each for one action of one container,
// so of one namespace, and a [Runner] gives it activations; [Main] is the life
// of a worker, which runs the sandboxes of package sandbox around an engine in
// its own process. No access to a guest's memory crosses between the two, only
// whole activations and their outcomes.
//
// They talk in frames over a socket that the worker inherits. A worker is
// trusted with nothing: it has no environment, no other descriptors than its
// action's, limits on what it may take, and system calls that lead nowhere but
// to what its action was granted. What it sends is bounded and checked; if it is
// not in order the worker is killed. What runs in a worker that ends fails, and
// nothing else; the next activation gets another worker.
//
// A runner's lock comes before its processes'.
package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
)

// The defaults of [Config].
const (
	DefaultMemoryBytes = 4 << 30
	DefaultGrace       = 500 * time.Millisecond
	DefaultStart       = time.Minute
)

// Config says how worker processes run.
type Config struct {
	// Command is a program and its arguments, which call [Main].
	Command []string

	// Activations bounds those that run in one process at once; 0 means no
	// bound, and then an action has one process. Who runs beside a guest that
	// ends its process fails with it.
	Activations int

	// Processes bounds those of one action at once where Activations is set;
	// more activations wait. 0 means one.
	Processes int

	// Prestarted is how many processes wait for an action, with their engine
	// open.
	Prestarted int

	// MemoryBytes bounds the RAM of a process; 0 means [DefaultMemoryBytes]. One
	// that has more is killed soon.
	MemoryBytes int64

	// RecycleAfter is how many activations a process runs before another takes
	// its place, and RecycleBytes is how much memory it may keep; 0 means any.
	RecycleAfter uint64
	RecycleBytes int64

	// Idle is how long a process stays that has nothing to do; 0 means for as
	// long as its runner. The next activation gets another.
	Idle time.Duration

	// Grace is how long after its deadline an activation may still end by
	// itself before its process is killed; 0 means [DefaultGrace].
	Grace time.Duration

	// Start is how long a process may take until it is ready for activations;
	// 0 means [DefaultStart].
	Start time.Duration

	// Logger takes what goes wrong with processes; nil discards it.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Processes = max(c.Processes, 1)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, DefaultMemoryBytes)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.Start = cmp.Or(c.Start, DefaultStart)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// worn tells whether a process that is made has done or holds so much that another should take
// its place.
func (c Config) worn(m *member) bool {
	if c.RecycleAfter > 0 && m.served >= c.RecycleAfter {
		return true
	}
	return c.RecycleBytes > 0 && m.served%weighEvery == 0 && m.err == nil && m.resident() > c.RecycleBytes
}

// weighEvery is how many activations lie between two looks at a process's memory.
const weighEvery = 64

// Supervisor starts worker processes and ends them. It is safe for concurrent
// use.
type Supervisor struct {
	config     Config
	ctx        context.Context //nolint:containedctx // of the processes, which outlive every call
	cancel     context.CancelFunc
	spares     chan *process
	book       book
	background sync.WaitGroup

	mu      sync.Mutex
	runners map[*Runner]struct{}
	told    bool // about the walls
}

// New makes a supervisor, and starts the processes that shall wait.
func New(config Config) (*Supervisor, error) {
	if len(config.Command) == 0 {
		return nil, errors.New("worker processes: no command")
	}
	config = config.withDefaults()
	s := &Supervisor{config: config, spares: make(chan *process, config.Prestarted), runners: map[*Runner]struct{}{}}
	s.book.running = map[*process]struct{}{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.background.Go(s.watch)
	for range config.Prestarted {
		s.background.Go(s.spare)
	}
	return s, nil
}

// Code is what a worker runs.
type Code struct {
	// Binary is compiled by each worker, unless there is an artefact.
	Binary []byte

	// Artefact is a directory with what an [engine.Precompiler] of that
	// fingerprint wrote below it at ArtefactPath; nil if there is none. It is
	// closed with the runner, also if Open fails.
	Artefact     *os.File
	ArtefactPath string
	Fingerprint  string
}

// Open gives a runner of code under a policy, with a process that is ready. The
// error is what [sandbox.New] or the engine says about the module, or tells why
// there is no process. The capabilities stay the caller's.
func (s *Supervisor) Open(ctx context.Context, code Code, policy sandbox.Policy) (*Runner, error) {
	r := &Runner{supervisor: s, binary: code.Binary, assignment: s.assignmentOf(code, policy)}
	r.ctx, r.cancel = context.WithCancelCause(s.ctx)
	if err := r.adopt(code, policy.Capabilities); err != nil {
		r.Close()
		return nil, err
	}
	if n := s.config.Activations; n > 0 {
		r.slots = make(chan struct{}, n*s.config.Processes)
	}
	s.mu.Lock()
	s.runners[r] = struct{}{}
	s.mu.Unlock()
	m, err := r.acquire(ctx, time.Time{})
	if err != nil {
		r.Close()
		return nil, err
	}
	r.contract = m.ready.Contract
	s.tell(m.ready.Walls)
	r.release(m)
	return r, nil
}

func (s *Supervisor) assignmentOf(code Code, policy sandbox.Policy) assignment {
	a := assignment{
		Contract:    policy.Contract,
		Limits:      policy.Limits.WithDefaults(),
		Env:         policy.Env,
		NoSnapshot:  policy.NoSnapshot,
		Fork:        policy.Fork,
		MemoryBytes: s.config.MemoryBytes,
		Activations: s.config.Activations,
	}
	if code.Artefact != nil {
		a.Fingerprint, a.ArtefactPath = code.Fingerprint, code.ArtefactPath
	}
	if client := policy.Capabilities.HTTP; client != nil {
		net := client.Policy()
		a.Net = &net
	}
	for _, m := range policy.Capabilities.Mounts {
		a.Mounts = append(a.Mounts, mount{m.Guest, m.Access})
	}
	return a
}

// adopt opens what every process of the runner gets.
func (r *Runner) adopt(code Code, granted sandbox.Capabilities) error {
	if code.Artefact != nil {
		r.binary, r.files = nil, append(r.files, code.Artefact)
	}
	for _, m := range granted.Mounts {
		dir, err := m.Root.Open(".")
		if err != nil {
			return fmt.Errorf("open directory for worker process: %w", err)
		}
		r.files = append(r.files, dir)
	}
	if len(r.files) > maxDescriptors {
		return fmt.Errorf("%d directories are too many for a worker process", len(granted.Mounts))
	}
	return nil
}

// tell says once what the kernel has to offer.
func (s *Supervisor) tell(walls Confinement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told && !walls.SystemCalls {
		s.config.Logger.Warn("worker processes may make any system call: the kernel has no filter for them",
			"no_new_privileges", walls.NoNewPrivileges)
	}
	s.told = true
}

// hire gives a process that is ready to run the activations of a runner: one that
// waits if there is any, unless it has died of waiting.
func (s *Supervisor) hire(r *Runner) (*process, error) {
	ctx, cancel := context.WithTimeoutCause(r.ctx, s.config.Start, errSlow)
	defer cancel()
	select {
	case p := <-s.spares:
		s.background.Go(s.spare)
		if err := s.assign(ctx, p, r); !errors.Is(err, errNotUp) {
			return p, err
		}
	default:
	}
	p, err := s.book.start(s.config.Command)
	if err != nil {
		return nil, err
	}
	return p, s.assign(ctx, p, r)
}

func (s *Supervisor) assign(ctx context.Context, p *process, r *Runner) error {
	err := p.assign(ctx, r.assignment, r.binary, r.files)
	if err == nil {
		s.background.Go(p.serve)
	}
	return err
}

var errSlow = &engine.InvalidModuleError{Err: errors.New("it takes too long to compile")}

// spare starts a process that waits.
func (s *Supervisor) spare() {
	p, err := s.book.start(s.config.Command)
	if err != nil {
		s.config.Logger.Error("worker process does not start", "error", err)
		return
	}
	select {
	case s.spares <- p:
	case <-s.ctx.Done():
		p.stop(errStopped)
		p.serve()
	}
}

// watchEvery is how long a process may have more RAM than it should, or be idle for
// longer.
const watchEvery = 200 * time.Millisecond

// watch looks after the RAM of processes at work, and after idle ones, until the
// supervisor is closed.
func (s *Supervisor) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			for _, r := range s.openRunners() {
				r.weigh(s.config.MemoryBytes)
				r.dismissIdle(s.config.Idle)
			}
		}
	}
}

func (s *Supervisor) openRunners() []*Runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.runners))
}

func (s *Supervisor) forget(r *Runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runners, r)
}

// Close ends all processes and waits for their end.
func (s *Supervisor) Close() {
	s.cancel()
	for _, r := range s.openRunners() {
		r.Close()
	}
	s.background.Wait()
	for {
		select {
		case p := <-s.spares:
			p.stop(errStopped)
			p.serve()
		default:
			return
		}
	}
}
