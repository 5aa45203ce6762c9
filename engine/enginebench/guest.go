package enginebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/host"
	"wasmwhisk/engine/wasi"
)

// step is a part of a sandbox's life.
type step int

const (
	compile step = iota
	load
	anew
	fresh
	first
	call
	reset
	end
	steps
)

// guest is a guest on one engine.
type guest struct {
	Guest
	module   engine.Module
	contract abi.Contract
	snapshot engine.Snapshot // nil without
	samples  [steps][]time.Duration
}

// maxResult bounds the answers of guests.
const maxResult = 1 << 20

func newGuest(ctx context.Context, rt engine.WasmRuntime, g Guest) (_ *guest, err error) {
	opened := &guest{Guest: g}
	err = opened.measure(compile, func() (err error) {
		opened.module, err = rt.Compile(ctx, g.Binary)
		return err
	})
	if err != nil {
		return nil, err
	}
	if opened.contract, err = abi.Detect(opened.module.Exports(), abi.Reactor); err != nil {
		return nil, errors.Join(err, opened.close(ctx))
	}
	return opened, opened.capture(inContext(ctx))
}

// inContext gives guests the streams, clocks and so on of nobody in particular.
func inContext(ctx context.Context) context.Context {
	ctx = wasi.NewContext(ctx, wasi.NewSystem(wasi.Config{}))
	return host.NewContext(ctx, host.NewSystem(host.Config{}))
}

func (g *guest) measure(s step, do func() error) error {
	began := time.Now()
	err := do()
	g.samples[s] = append(g.samples[s], time.Since(began))
	return err
}

// capture takes a snapshot where the engine can.
func (g *guest) capture(ctx context.Context) error {
	snapshotter, ok := g.module.(engine.Snapshotter)
	if !ok {
		return nil
	}
	instance, err := g.begin(ctx)
	if err != nil {
		return err
	}
	for _, preparing := range []string{"ow_warm_up", "ow_rehearse"} {
		if _, err := instance.Call(ctx, preparing); err != nil && !errors.Is(err, engine.ErrNoExport) {
			return errors.Join(err, instance.Close(ctx))
		}
	}
	g.snapshot, err = snapshotter.Capture(instance)
	if errors.Is(err, engine.ErrNotCapturable) {
		err = nil
	}
	return errors.Join(err, instance.Close(ctx))
}

// loads is how often an artefact is loaded.
const loads = 20

func (g *guest) load(ctx context.Context, rt engine.WasmRuntime) (err error) {
	p, ok := rt.(engine.Precompiler)
	if !ok {
		return nil
	}
	dir, err := os.MkdirTemp("", "wasmwhisk-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := p.Precompile(ctx, g.Binary, dir); err != nil {
		return err
	}
	for range loads {
		var m engine.Module
		err := g.measure(load, func() (err error) {
			m, err = p.Load(ctx, nil, dir)
			return err
		})
		if err != nil {
			return err
		}
		if err := m.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin starts an instance from nothing.
func (g *guest) begin(ctx context.Context) (engine.Instance, error) {
	instance, err := g.module.Instantiate(ctx, engine.Limits{})
	if err != nil {
		return nil, err
	}
	if err := g.contract.Initialize(ctx, instance); err != nil {
		return nil, errors.Join(err, instance.Close(ctx))
	}
	return instance, nil
}

// restore gives an instance that is ready for an input.
func (g *guest) restore(ctx context.Context) (engine.Instance, error) {
	if g.snapshot == nil {
		return g.begin(ctx)
	}
	return g.module.(engine.Snapshotter).Restore(ctx, g.snapshot, engine.Limits{})
}

func (g *guest) invoke(ctx context.Context, instance engine.Instance, s step) (answer json.RawMessage, err error) {
	err = g.measure(s, func() (err error) {
		answer, err = g.contract.Invoke(ctx, instance, abi.Input{Value: json.RawMessage(g.Input), MaxResult: maxResult}, nil)
		return err
	})
	return answer, err
}

// A round has at most so many lives, and begins none after so long.
const (
	livesPerRound = 200
	roundTime     = 300 * time.Millisecond
)

// live measures lives of sandboxes, a few of them from nothing.
func (g *guest) live(ctx context.Context) error {
	ctx = inContext(ctx)
	for n, began := 0, time.Now(); n < livesPerRound && time.Since(began) < roundTime; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n%10 == 0 {
			if err := g.startAnew(ctx); err != nil {
				return err
			}
		}
		if err := g.liveOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) startAnew(ctx context.Context) error {
	var instance engine.Instance
	err := g.measure(anew, func() (err error) {
		instance, err = g.begin(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return instance.Close(ctx)
}

func (g *guest) liveOnce(ctx context.Context) error {
	var instance engine.Instance
	err := g.measure(fresh, func() (err error) {
		instance, err = g.restore(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := g.invoke(ctx, instance, first); err != nil {
		return errors.Join(err, instance.Close(ctx))
	}
	if err := g.reuse(ctx, instance); err != nil {
		return errors.Join(err, instance.Close(ctx))
	}
	return g.measure(end, func() error { return instance.Close(ctx) })
}

// reuse puts an instance back and calls it, twice, where the engine can: memory
// is in the processor's cache the second time.
func (g *guest) reuse(ctx context.Context, instance engine.Instance) error {
	resetter, ok := instance.(engine.Resetter)
	if !ok || g.snapshot == nil {
		return nil
	}
	for range 2 {
		if err := g.measure(reset, resetter.Reset); err != nil {
			return err
		}
		if _, err := g.invoke(ctx, instance, call); err != nil {
			return err
		}
	}
	return nil
}

// work runs a kernel once.
func (g *guest) work(ctx context.Context, want string) error {
	ctx = inContext(ctx)
	instance, err := g.restore(ctx)
	if err != nil {
		return err
	}
	answer, err := g.invoke(ctx, instance, call)
	if err == nil && string(answer) != want {
		err = fmt.Errorf("it answers %s, the native program %s", answer, want)
	}
	return errors.Join(err, instance.Close(ctx))
}

func (g *guest) figures(ctx context.Context) (GuestFigures, error) {
	idle, err := g.idleBytes(inContext(ctx))
	return GuestFigures{
		Guest:   g.Name,
		Compile: median(g.samples[compile]),
		Load:    median(g.samples[load]),
		Anew:    median(g.samples[anew]),
		Fresh:   median(g.samples[fresh]),
		First:   median(g.samples[first]),
		Call:    median(g.samples[call]),
		Reset:   median(g.samples[reset]),
		Close:   median(g.samples[end]),
		Idle:    idle,
	}, err
}

func (g *guest) close(ctx context.Context) error {
	var err error
	if g.snapshot != nil {
		err = g.snapshot.Close()
	}
	return errors.Join(err, g.module.Close(ctx))
}
