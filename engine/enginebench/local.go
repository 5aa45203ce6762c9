package enginebench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
)

// work is what an engine has to do.
type work struct {
	Guests  []Guest `json:"guests"`
	Kernels []Guest `json:"kernels"`
}

// local is an engine in this process.
type local struct {
	runtime engine.WasmRuntime
	guests  []*guest
	kernels []*guest
}

func newLocal(ctx context.Context, open Open, w work, tell func(doing string)) (*local, error) {
	rt, err := open(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	l := &local{runtime: rt}
	if err := l.prepare(ctx, w, tell); err != nil {
		return nil, errors.Join(err, l.close(ctx))
	}
	return l, nil
}

func (l *local) prepare(ctx context.Context, w work, tell func(doing string)) error {
	for _, g := range slices.Concat(w.Guests, w.Kernels) {
		tell("compile " + g.Name)
		opened, err := newGuest(ctx, l.runtime, g)
		if err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
		if len(l.guests) == len(w.Guests) {
			l.kernels = append(l.kernels, opened)
			continue
		}
		l.guests = append(l.guests, opened)
		if err := opened.load(ctx, l.runtime); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	return nil
}

func (l *local) round(ctx context.Context, answers []string) error {
	if len(answers) != len(l.kernels) {
		return fmt.Errorf("%d answers of %d kernels", len(answers), len(l.kernels))
	}
	for _, g := range l.guests {
		if err := g.live(ctx); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	for i, k := range l.kernels {
		if err := k.work(ctx, answers[i]); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

func (l *local) report(ctx context.Context) (EngineReport, error) {
	r := EngineReport{Version: l.runtime.Info().Version}
	for _, g := range l.guests {
		figures, err := g.figures(ctx)
		if err != nil {
			return r, fmt.Errorf("%s: %w", g.Name, err)
		}
		r.Guests = append(r.Guests, figures)
	}
	for _, k := range l.kernels {
		r.Kernels = append(r.Kernels, KernelFigure{Kernel: k.Name, Run: median(k.samples[call])})
	}
	return r, nil
}

func (l *local) close(ctx context.Context) error {
	var errs []error
	for _, g := range slices.Concat(l.guests, l.kernels) {
		errs = append(errs, g.close(ctx))
	}
	return errors.Join(append(errs, l.runtime.Close(ctx))...)
}
