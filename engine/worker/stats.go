package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Stats counts the worker processes of a supervisor.
type Stats struct {
	// Processes are there now, also those that wait for an action, and Busy of
	// them run activations.
	Processes, Busy int

	// Started counts those that ever were. Crashed ended by themselves, and Killed
	// were ended because of what ran in them: too long, with too much memory, or
	// with what no worker sends.
	Started, Crashed, Killed uint64
}

// Stats gives the counts as they are now.
func (s *Supervisor) Stats() Stats { return s.book.stats() }

// Processes are the ids of the processes that are there.
func (s *Supervisor) Processes() []int {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	var ids []int
	for p := range s.book.running {
		ids = append(ids, p.cmd.Process.Pid)
	}
	slices.Sort(ids)
	return ids
}

// book knows the processes of a supervisor. Its lock comes before theirs.
type book struct {
	mu      sync.Mutex
	running map[*process]struct{}
	counts  Stats // but for those that are there
}

// start starts a process and enters it.
func (b *book) start(command []string) (*process, error) {
	p, err := start(command)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running[p] = struct{}{}
	b.counts.Started++
	p.left = b.strike
	return p, nil
}

// strike takes a process out that has ended, for that reason if we ended it.
func (b *book) strike(p *process, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, p)
	switch {
	case why == nil || errors.Is(why, errNotUp):
		b.counts.Crashed++
	case !errors.Is(why, errStopped) && !errors.Is(why, errClosed) && !errors.Is(why, context.Canceled):
		b.counts.Killed++
	}
}

func (b *book) stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.counts
	now.Processes = len(b.running)
	for p := range b.running {
		if p.busy() {
			now.Busy++
		}
	}
	return now
}

func (p *process) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}
