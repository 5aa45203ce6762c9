// Package enginebench measures engines side by side: each step in the life of a
// sandbox, programs that keep the processor busy, and the memory of sandboxes
// that wait, beside native programs that do the same work.
//
// The command "executor bench engines" prints what it finds. Engines take turns,
// so that what else the machine does meets all of them; figures are medians.
package enginebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
)

// Engine is an engine to measure.
type Engine struct {
	Name string
	Open func(context.Context, engine.Config) (engine.WasmRuntime, error)
}

// Guest is an action that keeps the reactor contract, and an input for it.
type Guest struct {
	Name   string
	Binary []byte
	Input  string
}

// Kernel is a guest that works for long, and the native program of the same
// source. The program takes its input as its argument, and prints the answer in
// its last line.
type Kernel struct {
	Guest
	Program string
	// Nothing is the input that makes the program do nothing.
	Nothing string
}

// Config says what to measure.
type Config struct {
	Engines []Engine
	Guests  []Guest
	Kernels []Kernel

	// Rounds is how many turns each engine gets; 0 means 5.
	Rounds int

	// Progress is told what is being measured; nil tells nobody.
	Progress func(doing string)
}

// Report is what was measured.
type Report struct {
	// ForkExec is starting a native program, until it has ended.
	ForkExec time.Duration  `json:"fork_exec_ns"`
	Native   []KernelFigure `json:"native"`
	Engines  []EngineReport `json:"engines"`
}

// EngineReport is what was measured of one engine.
type EngineReport struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Guests  []GuestFigures `json:"guests"`
	Kernels []KernelFigure `json:"kernels"`
}

// GuestFigures are the steps in the life of a guest. Those that an engine does
// without are 0.
type GuestFigures struct {
	Guest   string        `json:"guest"`
	Compile time.Duration `json:"compile_ns"`
	Load    time.Duration `json:"load_ns"`    // of an artefact
	Anew    time.Duration `json:"anew_ns"`    // instance, memory and the guest's start-up
	Fresh   time.Duration `json:"fresh_ns"`   // an instance from a snapshot
	First   time.Duration `json:"first_ns"`   // call into it
	Call    time.Duration `json:"call_ns"`    // into one that was put back
	Reset   time.Duration `json:"reset_ns"`   // putting it back
	Close   time.Duration `json:"close_ns"`   //
	Idle    int64         `json:"idle_bytes"` // RAM of one that was put back and waits
}

// KernelFigure is one run of a kernel.
type KernelFigure struct {
	Kernel string        `json:"kernel"`
	Run    time.Duration `json:"run_ns"`
	// Native is how many times the native program's time that is.
	Native float64 `json:"times_native,omitempty"`
}

const defaultRounds = 5

// Run measures. An engine that fails, or gives another answer than the native
// program, ends it.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	if c.Rounds == 0 {
		c.Rounds = defaultRounds
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	b := &bench{config: c}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		c.Progress(fmt.Sprintf("round %d of %d", round+1, c.Rounds))
		if err := b.round(ctx); err != nil {
			return nil, err
		}
	}
	return b.report(ctx)
}

// bench is one run.
type bench struct {
	config   Config
	subjects []*subject
	natives  []*native
}

// subject is an engine with its guests; kernels come last.
type subject struct {
	name    string
	runtime engine.WasmRuntime
	guests  []*guest
	kernels []*guest
}

func (b *bench) open(ctx context.Context) error {
	for _, k := range b.config.Kernels {
		n, err := newNative(ctx, k)
		if err != nil {
			return err
		}
		b.natives = append(b.natives, n)
	}
	for _, e := range b.config.Engines {
		rt, err := e.Open(ctx, engine.Config{HostFuncs: sandbox.HostFuncs()})
		if err != nil {
			return fmt.Errorf("open %s: %w", e.Name, err)
		}
		s := &subject{name: e.Name, runtime: rt}
		b.subjects = append(b.subjects, s)
		if err := b.prepare(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

func (b *bench) prepare(ctx context.Context, s *subject) error {
	for _, g := range b.config.Guests {
		b.config.Progress(s.name + ": compile " + g.Name)
		opened, err := newGuest(ctx, s.runtime, g)
		if err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
		s.guests = append(s.guests, opened)
		if err := opened.load(ctx, s.runtime); err != nil {
			return fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	for _, k := range b.config.Kernels {
		b.config.Progress(s.name + ": compile " + k.Name)
		opened, err := newGuest(ctx, s.runtime, k.Guest)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
		s.kernels = append(s.kernels, opened)
	}
	return nil
}

// round lets every engine, and the native programs, have a turn.
func (b *bench) round(ctx context.Context) error {
	for _, n := range b.natives {
		if err := n.measure(ctx); err != nil {
			return err
		}
	}
	for _, s := range b.subjects {
		for _, g := range s.guests {
			if err := g.live(ctx); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, g.Name, err)
			}
		}
		for i, k := range s.kernels {
			if err := k.work(ctx, b.natives[i].answer); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, k.Name, err)
			}
		}
	}
	return nil
}

func (b *bench) report(ctx context.Context) (*Report, error) {
	r := &Report{}
	for _, n := range b.natives {
		r.Native = append(r.Native, n.figure())
		r.ForkExec = median(n.idle)
	}
	for _, s := range b.subjects {
		b.config.Progress(s.name + ": memory of sandboxes that wait")
		e := EngineReport{Name: s.name, Version: s.runtime.Info().Version}
		for _, g := range s.guests {
			figures, err := g.figures(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", s.name, g.Name, err)
			}
			e.Guests = append(e.Guests, figures)
		}
		for i, k := range s.kernels {
			run := median(k.samples[call])
			e.Kernels = append(e.Kernels, KernelFigure{
				Kernel: k.Name, Run: run, Native: float64(run) / float64(max(r.Native[i].Run, 1)),
			})
		}
		r.Engines = append(r.Engines, e)
	}
	return r, nil
}

func (b *bench) close(ctx context.Context) error {
	var errs []error
	for _, s := range b.subjects {
		for _, g := range slices.Concat(s.guests, s.kernels) {
			errs = append(errs, g.close(ctx))
		}
		errs = append(errs, s.runtime.Close(ctx))
	}
	return errors.Join(errs...)
}

// median is 0 without samples.
func median(samples []time.Duration) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}
