package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/pool"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

// action is code that a container runs.
type action struct {
	template *sandbox.Template
	module   *pool.Ref
	granted  sandbox.Capabilities

	users int // guarded by its container's lock
}

// close frees the action once nothing runs on it.
func (a *action) close() {
	revoke(a.granted)
	if a.module != nil {
		a.module.Release()
	}
}

// maker makes actions out of what an /init brings.
type maker struct {
	pool      *pool.Pool
	modules   Modules
	hostFuncs []engine.HostFunc
	granter   granter
	hostEnv   []string
	limits    Limits
}

// make takes in the code, gets its module, and tries whether it starts. The
// logs are those of that trial.
func (m *maker) make(ctx context.Context, req initRequest, containerID string, t *timings) (*action, sandbox.Logs, error) {
	taken, err := m.intake(req, t)
	if err != nil {
		return nil, sandbox.Logs{}, err
	}
	a, err := m.prepare(ctx, req, taken, containerID, t)
	if err != nil {
		return nil, sandbox.Logs{}, err
	}
	trial := a.template.Probe(ctx)
	t.addSome(phaseSnapshot, trial.Timings.Snapshot)
	t.addSome(phaseInstantiate, trial.Timings.Instantiate)
	if trial.Err != nil {
		a.close()
		return nil, trial.Logs, trial.Err
	}
	return a, trial.Logs, nil
}

func (m *maker) intake(req initRequest, t *timings) (precompile.Action, error) {
	defer t.since(phaseIntake, time.Now())
	if known, ok := m.modules.(Uploads); ok {
		return known.Intake(req.code, m.intakeLimits())
	}
	return precompile.IntakeBase64(req.code, m.intakeLimits())
}

func (m *maker) intakeLimits() precompile.Limits {
	return precompile.Limits{CodeBytes: m.limits.CodeBytes}
}

// prepare makes an action that was not tried yet.
func (m *maker) prepare(ctx context.Context, req initRequest, taken precompile.Action, containerID string, t *timings) (_ *action, err error) {
	a := &action{}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.module, err = m.module(ctx, req.code, taken, t); err != nil {
		return nil, err
	}
	if known, ok := m.modules.(Uploads); ok {
		known.Remember(taken)
	}
	if a.granted, err = m.granter.grant(req.annotations, ownerOf(req.namespace, containerID)); err != nil {
		return nil, err
	}
	a.template, err = sandbox.New(a.module.Program(), m.hostFuncs, m.policy(req, taken.Manifest, a.granted))
	return a, err
}

// module gets the module from the pool, which loads or compiles it if need be.
func (m *maker) module(ctx context.Context, code string, taken precompile.Action, t *timings) (*pool.Ref, error) {
	began := time.Now()
	origin := make(chan precompile.Origin, 1)
	ref, err := m.pool.Get(ctx, pool.Key(taken.Hash), func(ctx context.Context) (engine.Module, error) {
		module, from, err := m.modules.Module(ctx, taken.Binary, taken.Hash)
		if errors.Is(err, precompile.ErrBinaryNeeded) {
			module, from, err = m.unpacked(ctx, code, taken)
		}
		origin <- from
		return module, err
	})
	t.since(phaseOf(origin), began)
	return ref, err
}

// unpacked gives the module of code that is known but has no artefact any more.
func (m *maker) unpacked(ctx context.Context, code string, known precompile.Action) (engine.Module, precompile.Origin, error) {
	taken, err := precompile.IntakeBase64(code, m.intakeLimits())
	if err != nil {
		return nil, precompile.Compiled, err
	}
	if taken.Hash != known.Hash {
		return nil, precompile.Compiled, fmt.Errorf("upload holds module %x, was known to hold %x", taken.Hash, known.Hash)
	}
	return m.modules.Module(ctx, taken.Binary, taken.Hash)
}

// phaseOf tells how a module was had: by our own load, or out of the pool.
func phaseOf(origin <-chan precompile.Origin) phase {
	select {
	case from := <-origin:
		if from == precompile.Loaded {
			return phaseLoad
		}
		return phaseCompile
	default:
		return phasePool
	}
}

// policy confines the action. Its annotation has the last word on its contract,
// and its own environment on the host's.
func (m *maker) policy(req initRequest, manifest precompile.Manifest, granted sandbox.Capabilities) sandbox.Policy {
	contract := req.annotations.abi
	if contract == "" {
		contract = manifest.ABI
	}
	return sandbox.Policy{
		Contract:     contract,
		Limits:       m.limits.sandboxLimits(),
		Capabilities: granted,
		Env:          mergeEnv(m.hostEnv, req.env),
		NoSnapshot:   req.annotations.noSnapshot,
	}
}

// mergeEnv is base with what over says otherwise.
func mergeEnv(base, over []string) []string {
	named := make(map[string]int, len(base)+len(over))
	var merged []string
	for _, entry := range append(append([]string(nil), base...), over...) {
		name, _, _ := cutEnv(entry)
		if at, ok := named[name]; ok {
			merged[at] = entry
			continue
		}
		named[name] = len(merged)
		merged = append(merged, entry)
	}
	return merged
}

// initFailure is what the developer of an action reads when its /init fails.
func initFailure(err error, limit time.Duration) error {
	if _, ok := errors.AsType[*whisk.Error](err); ok {
		return err
	}
	if errors.Is(err, precompile.ErrNoCode) {
		return &whisk.Error{Kind: whisk.Forbidden, Message: whisk.TextNoCode}
	}
	if refused, ok := errors.AsType[*precompile.IntakeError](err); ok {
		return refusedUpload(refused)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &whisk.Error{Kind: whisk.ActionFault, Message: whisk.TextInitTimedOut(limit)}
	}
	if errors.Is(err, errDestroyed) {
		return &whisk.Error{Kind: whisk.Internal, Message: "The container was destroyed during initialization."}
	}
	if sandbox.StatusOf(err) == sandbox.DeveloperError {
		return whisk.Errorf(whisk.ActionFault, "cannot start action: %v", err)
	}
	return err
}

func refusedUpload(err *precompile.IntakeError) error {
	switch err.Fault {
	case precompile.FaultEncoding:
		return whisk.Errorf(whisk.BadRequest, "cannot decode the request: %s", err.Message)
	case precompile.FaultSize:
		return &whisk.Error{Kind: whisk.TooLarge, Message: err.Message}
	}
	return whisk.Errorf(whisk.ActionFault, "cannot start action: %s", err.Message)
}
