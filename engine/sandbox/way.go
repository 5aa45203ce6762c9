package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// way is a way to the state that a snapshot is taken of. It tells which functions
// may have been called on it whose answers do not last.
type way struct {
	contract  abi.Contract    // by which a guest is asked that went it
	from      engine.Snapshot // where it begins; nil for the binary
	started   bool            // nothing is left to do of the start-up
	rehearses bool            // where the module is the final one, and the guest can
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
	ways := []way{{contract: s.contract, started: true, rehearses: true, bring: s.startUp}, unstarted}
	if reactor := abi.Behind(s.contract, s.program.module.Exports()); reactor != nil {
		ways = slices.Insert(ways, 0, way{contract: reactor, started: true, rehearses: true, bring: s.serve})
	}
	return ways
}

// warmUp is exported by SDKs that make a snapshot sound whatever their start-up
// asks the host for: at the beginning of each run they take environment and
// entropy anew. It is called once before the snapshot is taken, to do what need
// not be done in each run.
const warmUp = "ow_warm_up"

// rehearse is exported by SDKs that can do more of that kind, for the sake of time
// alone. It is called after the warm-up where the module is the final one: for an
// interpreted guest somebody waits.
const rehearse = "ow_rehearse"

// rehearsalPatience is how long a rehearsal may take, which takes a millisecond.
const rehearsalPatience = time.Second

// rehearsalError is why a guest that is ready otherwise could not rehearse.
type rehearsalError struct{ err error }

func (e *rehearsalError) Error() string { return "rehearsal: " + e.err.Error() }
func (e *rehearsalError) Unwrap() error { return e.err }

// capture brings a guest to the state in question, and takes that.
func (s *start) capture(ctx context.Context, w way) (*preparation, *guest, error) {
	guest, err := s.bring(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	snapshot, err := guest.tier.module.(engine.Snapshotter).Capture(guest.Instance)
	if err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, nil, err
	}
	p := &preparation{snapshot: snapshot, started: w.started, rough: guest.rough && w.rehearses, contract: w.contract}
	if adopt(guest, snapshot) == nil {
		return p, guest, nil
	}
	_ = guest.Close(context.WithoutCancel(ctx))
	if s.fork != nil {
		return nil, nil, errors.Join(errNotKept, snapshot.Close())
	}
	return p, nil, nil
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
	err = w.follow(ctx, guest, func(renewed []string) error { return sound(system, hosts, renewed) })
	if err != nil {
		_ = guest.Close(context.WithoutCancel(ctx))
		return nil, verdict(ctx, err)
	}
	return guest, nil
}

// follow takes a guest along a way, and checks that what it did there is sound.
func (w way) follow(ctx context.Context, guest *guest, sound func(renewed []string) error) error {
	renewed, err := w.bring(ctx, guest)
	if err != nil {
		return err
	}
	if err := sound(renewed); err != nil || !w.rehearses || !guest.rough || guest.tier.provisional {
		return err
	}
	err = rehearsed(ctx, guest)
	if err == nil {
		err = sound(renewed)
	}
	if err != nil {
		return &rehearsalError{err}
	}
	return nil
}

// adopt makes a guest that is in the state of a snapshot as good as one from that.
func adopt(guest *guest, from engine.Snapshot) error {
	_, resets := guest.Instance.(engine.Resetter)
	adopter, adopts := from.(engine.Adopter)
	if !resets || !adopts {
		return errNotKept
	}
	if err := adopter.Adopt(guest.Instance); err != nil {
		return err
	}
	guest.from = from
	return nil
}

// startUp starts a guest, as far as that can be done for nobody.
func (s *start) startUp(ctx context.Context, guest *guest) (renewed []string, err error) {
	if err := s.contract.Initialize(ctx, guest); err != nil || s.contract.Name() != abi.Reactor {
		return nil, err
	}
	return warmedUp(ctx, guest)
}

// warmedUp lets a guest warm up that can.
func warmedUp(ctx context.Context, guest *guest) (renewed []string, err error) {
	_, err = guest.Call(ctx, warmUp)
	if errors.Is(err, engine.ErrNoExport) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return warmedUpBefore(ctx, guest)
}

// warmedUpBefore is for a guest that goes on where one had warmed up.
func warmedUpBefore(_ context.Context, guest *guest) (renewed []string, err error) {
	guest.rough = slices.ContainsFunc(guest.tier.module.Exports(), isRehearsal)
	return renewable(), nil
}

func isRehearsal(e engine.Export) bool { return e.Name == rehearse }

// rehearsed lets a guest rehearse that has warmed up.
func rehearsed(ctx context.Context, guest *guest) error {
	ctx, cancel := context.WithTimeout(ctx, rehearsalPatience)
	defer cancel()
	_, err := guest.Call(ctx, rehearse)
	guest.rough = false
	return err
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
