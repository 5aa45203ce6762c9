package enginebench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
	"wasmwhisk/internal/ram"
)

// workers are the worker processes of an engine, one for each guest.
type workers struct {
	supervisors []*worker.Supervisor
	runners     []*worker.Runner
	inputs      []json.RawMessage
	samples     [][]time.Duration
}

// startTime is how long a worker process may compile: engines take their time.
const startTime = 10 * time.Minute

func newWorkers(ctx context.Context, command []string, guests []Guest) (*workers, error) {
	w := &workers{samples: make([][]time.Duration, len(guests))}
	for _, g := range guests {
		if err := w.start(ctx, command, g); err != nil {
			w.close()
			return nil, fmt.Errorf("%s: worker process: %w", g.Name, err)
		}
	}
	return w, nil
}

func (w *workers) start(ctx context.Context, command []string, g Guest) error {
	s, err := worker.New(worker.Config{Command: command, Activations: 1, Start: startTime})
	if err != nil {
		return err
	}
	w.supervisors = append(w.supervisors, s)
	r, err := s.Open(ctx, worker.Code{Binary: g.Binary}, sandbox.Policy{})
	if err != nil {
		return err
	}
	w.runners, w.inputs = append(w.runners, r), append(w.inputs, json.RawMessage(g.Input))
	return nil
}

// round runs activations for as long as a turn is.
func (w *workers) round(ctx context.Context) error {
	for i, r := range w.runners {
		for n, began := 0, time.Now(); n < livesPerRound && time.Since(began) < roundTime; n++ {
			sent := time.Now()
			out := r.Run(ctx, sandbox.Activation{Input: w.inputs[i], Deadline: sent.Add(time.Minute)})
			if out.Err != nil {
				return fmt.Errorf("worker process: %w", out.Err)
			}
			w.samples[i] = append(w.samples[i], time.Since(sent))
		}
	}
	return nil
}

// figures adds what was measured to that of the guests.
func (w *workers) figures(guests []GuestFigures) {
	for i := range guests {
		guests[i].Process = median(w.samples[i])
		for _, pid := range w.supervisors[i].Processes() {
			guests[i].ProcessIdle = ram.Proportional(pid)
		}
	}
}

func (w *workers) close() {
	for _, r := range w.runners {
		r.Close()
	}
	for _, s := range w.supervisors {
		s.Close()
	}
}
