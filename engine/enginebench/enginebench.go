// Package enginebench measures engines side by side: each step in the life of a
// sandbox, programs that keep the processor busy, and the memory of sandboxes
// that wait, beside native programs that do the same work.
//
// The command "executor bench engines" prints what it finds. Engines take turns,
// so that what else the machine does meets all of them; figures are medians. An
// engine that has a program of its own is measured there, by [Serve], in its turn.
package enginebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wasmwhisk/engine"
)

// Open makes an engine.
type Open func(context.Context, engine.Config) (engine.WasmRuntime, error)

// Engine is an engine to measure. It is made by Open, or else in the program that
// Program starts, with its arguments: one that calls [Serve].
type Engine struct {
	Name    string
	Open    Open
	Program []string

	// Worker starts its worker processes (package worker), which are measured,
	// too; nil if there are none.
	Worker []string
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

	Process     time.Duration `json:"process_ns"`    // an activation in a worker process
	ProcessIdle int64         `json:"process_bytes"` // RAM of one that waits
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
	natives  []*native
	entrants []entrant
}

// entrant is an engine with what is measured of it.
type entrant struct {
	Engine
	subject subject
	workers *workers // nil if there are none
}

// subject is an engine that is measured, here or in a program of its own.
type subject interface {
	// round gives it a turn. Kernels have to give those answers.
	round(ctx context.Context, answers []string) error

	report(ctx context.Context) (EngineReport, error)
	close(ctx context.Context) error
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
		if err := b.add(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

func (b *bench) add(ctx context.Context, e Engine) error {
	s, err := b.subject(ctx, e)
	if err != nil {
		return err
	}
	added := entrant{Engine: e, subject: s}
	if e.Worker != nil {
		b.config.Progress(e.Name + ": start worker processes")
		added.workers, err = newWorkers(ctx, e.Worker, b.config.Guests)
	}
	b.entrants = append(b.entrants, added) // which close wants, whatever the error
	return err
}

func (b *bench) subject(ctx context.Context, e Engine) (subject, error) {
	tell := func(doing string) { b.config.Progress(e.Name + ": " + doing) }
	work := work{Guests: b.config.Guests}
	for _, k := range b.config.Kernels {
		work.Kernels = append(work.Kernels, k.Guest)
	}
	if e.Open == nil {
		return newRemote(ctx, e.Program, work, tell)
	}
	return newLocal(ctx, e.Open, work, tell)
}

// round lets every engine, and the native programs, have a turn.
func (b *bench) round(ctx context.Context) error {
	answers := make([]string, len(b.natives))
	for i, n := range b.natives {
		if err := n.measure(ctx); err != nil {
			return err
		}
		answers[i] = n.answer
	}
	for _, e := range b.entrants {
		if err := e.round(ctx, answers); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

func (e entrant) round(ctx context.Context, answers []string) error {
	if err := e.subject.round(ctx, answers); err != nil || e.workers == nil {
		return err
	}
	return e.workers.round(ctx)
}

func (b *bench) report(ctx context.Context) (*Report, error) {
	r := &Report{}
	for _, n := range b.natives {
		r.Native = append(r.Native, n.figure())
		r.ForkExec = median(n.idle)
	}
	for _, e := range b.entrants {
		b.config.Progress(e.Name + ": memory of sandboxes that wait")
		of, err := e.report(ctx, r.Native)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		r.Engines = append(r.Engines, of)
	}
	return r, nil
}

// report compares the kernels with the native programs.
func (e entrant) report(ctx context.Context, natives []KernelFigure) (EngineReport, error) {
	r, err := e.subject.report(ctx)
	if err != nil {
		return r, err
	}
	r.Name = e.Name
	for i := range r.Kernels {
		r.Kernels[i].Native = float64(r.Kernels[i].Run) / float64(max(natives[i].Run, 1))
	}
	if e.workers != nil {
		e.workers.figures(r.Guests)
	}
	return r, nil
}

func (b *bench) close(ctx context.Context) error {
	var errs []error
	for _, e := range b.entrants {
		if e.workers != nil {
			e.workers.close()
		}
		errs = append(errs, e.subject.close(ctx))
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
