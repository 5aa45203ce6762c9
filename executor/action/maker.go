package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/precompile"
)

// Modules gives the module of an action that was taken in, and tells where it came
// from. A *precompile.Cache is one.
type Modules interface {
	Module(ctx context.Context, taken precompile.Action) (engine.Module, precompile.Origin, error)
}

// Uploads is implemented by [Modules] that know uploads which they have seen. A
// *precompile.Cache does. An action that Intake gives may be without its binary;
// Module then answers [precompile.ErrBinaryNeeded] if it has
// to compile.
type Uploads interface {
	Intake(code string, limits precompile.Limits) (precompile.Action, error)
	Remember(action precompile.Action)
}

// Deriving is implemented by [Modules] that keep what is made of a module. A
// *precompile.Cache does.
type Deriving interface {
	Derived(action precompile.Action) *precompile.Derived
}

// Foreseeing is implemented by [Modules] that guess what an upload is. A
// *precompile.Cache does.
type Foreseeing interface {
	Foresee(beginning []byte) (precompile.Action, bool)
}

// Recents is implemented by [Modules] that know what was used last. A
// *precompile.Cache does.
type Recents interface {
	Recent(n int) []precompile.Action
}

// Config is what a [Maker] is made with. Pool and Modules are required, unless
// there are workers.
type Config struct {
	Pool    *pool.Pool
	Modules Modules

	// Workers run the activations of each action in processes of its own; nil
	// runs them in this process.
	Workers *worker.Supervisor

	// Env is what every action finds in its environment unless its own or its
	// activation's says otherwise, as "KEY=value".
	Env []string

	// DirRoot is the directory below which each namespace has a private one
	// for the actions that ask for a directory; empty grants none.
	DirRoot string

	// Net bounds what actions that ask for the network may reach.
	Net NetPolicy

	// Fork lets commands be forked that ask for it.
	Fork bool

	// CodeBytes bounds an upload, not counting base64; 0 means OpenWhisk's limit.
	CodeBytes int64
}

// maxAhead bounds the modules that are kept for uploads of which only the beginning came.
const maxAhead = 4

// Maker makes actions. It is safe for concurrent use.
type Maker struct {
	config    Config
	hostFuncs []engine.HostFunc
	ahead     atomic.Int32 // modules that are loaded or kept for uploads to come
}

// NewMaker gives a maker of actions; the pool and the modules stay their
// owners'.
func NewMaker(config Config) *Maker {
	return &Maker{config: config, hostFuncs: sandbox.HostFuncs()}
}

// Make takes in the code, gets its module, and tries whether it starts. The
// action is closed by whoever gets it. [Failure] tells its developer about the
// error.
func (m *Maker) Make(ctx context.Context, req Request) (*Action, Trial, error) {
	var trial Trial
	taken, err := m.intake(req, &trial)
	if err != nil {
		return nil, trial, err
	}
	a, err := m.prepare(ctx, req, taken, &trial)
	return a, trial, err
}

// Precompile has the module of some code made, for the pool and the artefact
// cache to have it when it is wanted.
func (m *Maker) Precompile(ctx context.Context, code string) error {
	var trial Trial
	taken, err := m.intake(Request{Code: code}, &trial)
	if err != nil {
		return err
	}
	if m.config.Workers != nil {
		return m.precompile(ctx, code, taken)
	}
	ref, err := m.module(ctx, code, taken, &trial)
	if err != nil {
		return err
	}
	defer ref.Release()
	m.remember(taken)
	return ref.Program().Settle(ctx)
}

// Preload has the pool load the n modules that were used last, as far as they are on
// disk, until ctx is done.
func (m *Maker) Preload(ctx context.Context, n int) {
	known, ok := m.config.Modules.(Recents)
	if !ok || m.config.Workers != nil || n <= 0 {
		return
	}
	for _, last := range known.Recent(n) {
		if ref, err := m.loadAhead(ctx, last); err == nil {
			ref.Release()
		}
	}
}

// Prefetch has the pool begin to load the module of the last upload that began so, if it
// is on disk, and keep it until it is told to stop. It does so for few at a time.
func (m *Maker) Prefetch(ctx context.Context, beginning []byte) (stop func()) {
	known, ok := m.config.Modules.(Foreseeing)
	if !ok || m.config.Workers != nil {
		return func() {}
	}
	foreseen, ok := known.Foresee(beginning)
	if !ok {
		return func() {}
	}
	if m.ahead.Add(1) > maxAhead {
		m.ahead.Add(-1)
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var loading sync.WaitGroup
	loading.Go(func() {
		defer m.ahead.Add(-1)
		if ref, err := m.loadAhead(ctx, foreseen); err == nil {
			<-ctx.Done()
			ref.Release()
		}
	})
	return func() {
		cancel()
		loading.Wait()
	}
}

// loadAhead gives the module of an action without its binary.
func (m *Maker) loadAhead(ctx context.Context, known precompile.Action) (*pool.Ref, error) {
	return m.config.Pool.GetAhead(ctx, pool.Key(known.Hash), func(ctx context.Context) (engine.Module, error) {
		module, _, err := m.config.Modules.Module(ctx, known)
		return module, err
	})
}

func (m *Maker) intake(req Request, trial *Trial) (precompile.Action, error) {
	defer since(time.Now(), &trial.Intake)
	if known, ok := m.config.Modules.(Uploads); ok {
		return known.Intake(req.Code, m.intakeLimits())
	}
	return precompile.IntakeBase64(req.Code, m.intakeLimits())
}

func (m *Maker) intakeLimits() precompile.Limits {
	return precompile.Limits{CodeBytes: m.config.CodeBytes}
}

func (m *Maker) remember(taken precompile.Action) {
	if known, ok := m.config.Modules.(Uploads); ok {
		known.Remember(taken)
	}
}

// prepare makes an action and tries it.
func (m *Maker) prepare(ctx context.Context, req Request, taken precompile.Action, trial *Trial) (*Action, error) {
	a, how := &Action{}, m.share
	if m.config.Workers != nil {
		how = m.isolate
	}
	if err := how(ctx, a, req, taken, trial); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// share has an action run in this process, and tries it.
func (m *Maker) share(ctx context.Context, a *Action, req Request, taken precompile.Action, trial *Trial) (err error) {
	if a.granted, err = m.grant(req.Wishes, ownerOf(req.Namespace, req.ID)); err != nil {
		return err
	}
	policy := m.policy(req, taken.Manifest, a.granted)
	policy.Store = m.store(taken)
	if !m.config.Pool.Has(pool.Key(taken.Hash)) {
		defer sandbox.Expect(policy)()
	}
	if a.module, err = m.module(ctx, req.Code, taken, trial); err != nil {
		return err
	}
	m.remember(taken)
	if a.runner, err = sandbox.New(a.module.Program(), m.hostFuncs, policy); err != nil {
		return err
	}
	return a.try(ctx, trial)
}

// module gets the module from the pool, which loads or compiles it if need be.
func (m *Maker) module(ctx context.Context, code string, taken precompile.Action, trial *Trial) (*pool.Ref, error) {
	defer since(time.Now(), &trial.Module)
	origin := make(chan precompile.Origin, 1)
	load := func(ctx context.Context) (engine.Module, error) {
		module, from, err := m.config.Modules.Module(ctx, taken)
		if errors.Is(err, precompile.ErrBinaryNeeded) {
			module, from, err = m.unpacked(ctx, code, taken)
		}
		origin <- from
		return module, err
	}
	ref, err := m.config.Pool.Get(ctx, pool.Key(taken.Hash), load)
	trial.Source = sourceOf(origin)
	return ref, err
}

// unpacked gives the module of code that is known but has no artefact any more.
func (m *Maker) unpacked(ctx context.Context, code string, known precompile.Action) (engine.Module, precompile.Origin, error) {
	binary, err := m.binary(code, known)
	if err != nil {
		return nil, precompile.Compiled, err
	}
	return m.config.Modules.Module(ctx, precompile.Action{Binary: binary, Hash: known.Hash})
}

// binary is that of code that is known.
func (m *Maker) binary(code string, known precompile.Action) ([]byte, error) {
	taken, err := precompile.IntakeBase64(code, m.intakeLimits())
	if err == nil && taken.Hash != known.Hash {
		err = fmt.Errorf("upload holds module %x, was known to hold %x", taken.Hash, known.Hash)
	}
	return taken.Binary, err
}

// sourceOf tells how a module was had: by our own load, or out of the pool.
func sourceOf(origin <-chan precompile.Origin) Source {
	select {
	case from := <-origin:
		switch from {
		case precompile.Loaded:
			return Loaded
		case precompile.Interpreted:
			return Interpreted
		}
		return Compiled
	default:
		return Pooled
	}
}

// policy confines the action. Its wish has the last word on its contract, and
// its own environment on that of all.
func (m *Maker) policy(req Request, manifest precompile.Manifest, granted sandbox.Capabilities) sandbox.Policy {
	contract := req.Wishes.ABI
	if contract == "" {
		contract = manifest.ABI
	}
	return sandbox.Policy{
		Contract:     contract,
		Limits:       req.Limits,
		Capabilities: granted,
		Env:          mergeEnv(m.config.Env, req.Env),
		NoSnapshot:   req.Wishes.NoSnapshot,
		Fork:         m.config.Fork && req.Wishes.Fork,
	}
}

// store is where what comes of the module's start-up is kept, nil for nowhere.
func (m *Maker) store(taken precompile.Action) sandbox.Store {
	if known, ok := m.config.Modules.(Deriving); ok {
		if derived := known.Derived(taken); derived != nil {
			return derived
		}
	}
	return nil
}

// mergeEnv is base with what over says otherwise.
func mergeEnv(base, over []string) []string {
	named := make(map[string]int, len(base)+len(over))
	var merged []string
	for _, entry := range append(append([]string(nil), base...), over...) {
		name, _, _ := strings.Cut(entry, "=")
		if at, ok := named[name]; ok {
			merged[at] = entry
			continue
		}
		named[name] = len(merged)
		merged = append(merged, entry)
	}
	return merged
}
