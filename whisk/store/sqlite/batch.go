package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// batch lets those who append at the same time share a commit. Whoever finds
// nobody waiting leads: it waits for the writer's turn, writes what has gathered
// meanwhile, its own and that of the others, and tells them. While one batch is
// on its way to the disk the next one gathers, so that the more callers there
// are the less each costs, and a single one waits for nobody.
type batch struct {
	db *DB

	mu      sync.Mutex
	waiting []*entry
	last    int           // how many the last batch had
	enough  chan struct{} // closed when as many wait, if a leader wants to know
}

// entry is what one caller writes, all or none.
type entry struct {
	write func(context.Context, *statements) error
	done  chan struct{} // closed when err is set
	err   error
}

// do writes in the next batch, and returns when that is durable, or when ctx
// ends: then it may be written all the same.
func (b *batch) do(ctx context.Context, write func(context.Context, *statements) error) error {
	e := &entry{write: write, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, e)
	leads := len(b.waiting) == 1
	if b.enough != nil && len(b.waiting) >= b.last {
		close(b.enough)
		b.enough = nil
	}
	b.mu.Unlock()
	if leads {
		// The others depend on it, so it does not give up.
		b.lead(context.WithoutCancel(ctx))
	}
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lead writes what has gathered by the time it has the turn.
func (b *batch) lead(ctx context.Context) {
	var entries []*entry
	err := b.db.writer.transaction(ctx, func(ctx context.Context, s *statements) error {
		b.gather()
		entries = b.take()
		return writeAll(ctx, s, entries)
	})
	if entries == nil { // there was no transaction
		entries = b.take()
	}
	if err != nil && len(entries) > 1 {
		b.separate(ctx, entries)
		return
	}
	for _, e := range entries {
		e.settle(err)
	}
}

// gatherAtMost is a fraction of what a disk takes for a commit.
const gatherAtMost = 200 * time.Microsecond

// gather waits a moment for those who were in the last batch: they have their
// answers now, and often the next record. Without it two groups of callers would
// take turns, each waiting for the other's commit.
func (b *batch) gather() {
	b.mu.Lock()
	if len(b.waiting) >= b.last {
		b.mu.Unlock()
		return
	}
	enough := make(chan struct{})
	b.enough = enough
	b.mu.Unlock()
	timer := time.NewTimer(gatherAtMost)
	defer timer.Stop()
	select {
	case <-enough:
	case <-timer.C:
	}
}

func (b *batch) take() []*entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	entries := b.waiting
	b.waiting, b.last, b.enough = nil, len(entries), nil
	return entries
}

func writeAll(ctx context.Context, s *statements, entries []*entry) error {
	for _, e := range entries {
		if err := e.write(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// separate gives each entry a transaction of its own, so that what is wrong with
// one is no other's error.
func (b *batch) separate(ctx context.Context, entries []*entry) {
	for _, e := range entries {
		e.settle(b.db.writer.transaction(ctx, e.write))
	}
}

func (e *entry) settle(err error) {
	e.err = err
	close(e.done)
}

// row is what goes to disk with the rows of others.
type row interface {
	insert(ctx context.Context, s *statements) error
}

// insertAll encodes values before it holds up anybody, and inserts all or none of
// them in one batch. The errors begin with what was done.
func insertAll[V any, R row](ctx context.Context, db *DB, doing string, values []V, encode func(V) (R, error)) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.life.RUnlock()
	rows := make([]R, len(values))
	for i, v := range values {
		var err error
		if rows[i], err = encode(v); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	err := db.batch.do(ctx, func(ctx context.Context, s *statements) error {
		for _, r := range rows {
			if err := r.insert(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
