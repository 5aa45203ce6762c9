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

	// Whoever has the writer's turn uses these.
	activations *bulk
	promises    promises
	numbers     numbers

	mu      sync.Mutex
	waiting []*entry
	last    int           // how many the last batch had
	enough  chan struct{} // closed when as many wait, if a leader wants to know
}

// rows are what is inserted together.
type rows struct {
	records  []activationRow
	promises []promiseRow
}

// entry is what one caller inserts, all or none.
type entry struct {
	rows
	done chan struct{} // closed when err is set
	err  error
}

// do inserts rows with the next batch, and returns when that is durable, or when
// ctx ends: then they may be inserted all the same.
func (b *batch) do(ctx context.Context, r rows) error {
	e := &entry{rows: r, done: make(chan struct{})}
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
	err := b.transaction(ctx, func(ctx context.Context, s *statements) error {
		b.gather()
		entries = b.take()
		return b.insert(ctx, s, together(entries))
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

// transaction turns a panic into an error: the others would wait for whoever
// leads, without end.
func (b *batch) transaction(ctx context.Context, fn func(context.Context, *statements) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panicked: %v", v)
		}
	}()
	return b.db.writer.transaction(ctx, fn)
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

// together are the rows of all entries.
func together(entries []*entry) (all rows) {
	for _, e := range entries {
		all.records = append(all.records, e.records...)
		all.promises = append(all.promises, e.promises...)
	}
	return all
}

// insert begins with the promises: a record ends that of its id.
func (b *batch) insert(ctx context.Context, s *statements, r rows) error {
	if err := b.promises.look(ctx, s); err != nil {
		return err
	}
	if err := b.promises.accept(ctx, s, r.promises); err != nil {
		return err
	}
	if err := b.numbers.number(ctx, s, r.records); err != nil {
		return err
	}
	if err := execRows(ctx, s, b.activations, r.records); err != nil {
		return err
	}
	return b.promises.keep(ctx, s, r.records)
}

// separate gives each entry a transaction of its own, so that what is wrong with
// one is no other's error.
func (b *batch) separate(ctx context.Context, entries []*entry) {
	for _, e := range entries {
		e.settle(b.transaction(ctx, func(ctx context.Context, s *statements) error {
			return b.insert(ctx, s, e.rows)
		}))
	}
}

func (e *entry) settle(err error) {
	e.err = err
	close(e.done)
}

// encodeAll encodes values before they hold up anybody.
func encodeAll[V, R any](values []V, encode func(V) (R, error)) ([]R, error) {
	rows := make([]R, len(values))
	for i, v := range values {
		var err error
		if rows[i], err = encode(v); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
