package load

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
)

// order is what a generator process is told. The messages of both directions are
// gob: plans carry code by the megabyte.
type order struct {
	Plan *Plan
	Stop bool // the plan that runs
}

// report is what a generator process tells: how far it has come, and in the end
// the result or why there is none.
type report struct {
	Done   int
	Result *Result
	Error  string
}

// Main is the life of a generator process: it runs the plans that it reads from
// in, one at a time, and writes what came of them to out, until in or ctx ends.
// What reads in ends with in. [Start] starts such a process and talks to it.
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	orders := make(chan order)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		cancel(read(ctx, in, orders))
	}()
	reports := gob.NewEncoder(out)
	for {
		select {
		case <-ctx.Done():
			return ending(context.Cause(ctx))
		case o := <-orders:
			if o.Plan == nil {
				continue // told to stop what has just ended
			}
			if err := serve(ctx, *o.Plan, orders, reports); err != nil {
				return err
			}
		}
	}
}

// ending is the error of a process whose orders ended so.
func ending(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read plan: %w", err)
}

// read hands on orders until there are no more; its error is never nil.
func read(ctx context.Context, in io.Reader, orders chan<- order) error {
	decoder := gob.NewDecoder(in)
	for {
		var o order
		if err := decoder.Decode(&o); err != nil {
			return err
		}
		select {
		case orders <- o:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// serve runs a plan until it is done or told to stop.
func serve(ctx context.Context, plan Plan, orders <-chan order, reports *gob.Encoder) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan report, 1)
	ticks := make(chan int)
	go func() { ended <- outcome(ctx, plan, ticks) }()
	for {
		select {
		case <-orders:
			stop()
		case done := <-ticks:
			if err := reports.Encode(report{Done: done}); err != nil {
				stop()
			}
		case r := <-ended:
			return reports.Encode(r)
		}
	}
}

func outcome(ctx context.Context, plan Plan, ticks chan<- int) report {
	res, err := run(ctx, plan, func(done int) { ticks <- done })
	if err != nil {
		return report{Error: err.Error()}
	}
	return report{Done: len(res.Samples), Result: res}
}
