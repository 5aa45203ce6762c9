package sqlite

import (
	"context"
	"math/bits"
	"strings"
)

// insert holds the statements that insert so many rows of one kind at once: 1, 2,
// 4 and so on. A statement costs several times what one more row in it does.
type insert [7]string

// newInsert puts the places of rows that have so many columns between the
// beginning and the end of a statement.
func newInsert(before string, columns int, after string) *insert {
	var i insert
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	for n := range i {
		i[n] = before + strings.TrimSuffix(strings.Repeat(row+",", 1<<n), ",") + after
	}
	return &i
}

// row is a row of a table, as the arguments of a statement.
type row interface {
	appendArgs(args []any) []any
}

// insertRows inserts rows, as many at once as there is a statement for.
func insertRows[R row](ctx context.Context, s *statements, with *insert, rows []R) error {
	var args []any
	for len(rows) > 0 {
		n := min(bits.Len(uint(len(rows))), len(with)) - 1
		args = args[:0]
		for _, r := range rows[:1<<n] {
			args = r.appendArgs(args)
		}
		if _, err := s.exec(ctx, with[n], args...); err != nil {
			return err
		}
		rows = rows[1<<n:]
	}
	return nil
}
