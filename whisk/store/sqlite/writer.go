package sqlite

import (
	"context"
	"database/sql"
)

// writer is the one connection that writes. Whoever has the turn uses it.
type writer struct {
	turn       chan struct{} // holds a token while nobody has it
	conn       *sql.Conn
	statements *statements
}

func (w *writer) init(ctx context.Context, pool *sql.DB) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.statements = conn, newStatements(conn)
	w.turn = make(chan struct{}, 1)
	w.turn <- struct{}{}
	return nil
}

func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.Close()
}

// transaction runs fn in a transaction. The statements in it do not see ctx end:
// interrupting one saves nothing, and would cost each a goroutine.
func (w *writer) transaction(ctx context.Context, fn func(context.Context, *statements) error) error {
	select {
	case <-w.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { w.turn <- struct{}{} }()
	ctx = context.WithoutCancel(ctx)
	if err := w.begin(ctx); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			// SQLite may have done so itself; if it fails, the next begin sees to it.
			_, _ = w.statements.exec(ctx, "ROLLBACK")
		}
	}()
	if err := fn(ctx, w.statements); err != nil {
		return err
	}
	_, err := w.statements.exec(ctx, "COMMIT")
	committed = err == nil
	return err
}

// begin ends what an earlier transaction may have left behind.
func (w *writer) begin(ctx context.Context) error {
	_, err := w.statements.exec(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		return nil
	}
	if _, undone := w.statements.exec(ctx, "ROLLBACK"); undone != nil {
		return err
	}
	_, err = w.statements.exec(ctx, "BEGIN IMMEDIATE")
	return err
}
