package sqlite

import (
	"context"
	"math/bits"
	"strings"
)

// bulk holds the statements that do something with so many rows at once: 1, 2, 4
// and so on. A statement costs several times what one more row in it does.
type bulk [7]string

// newBulk puts the places of rows that have so many columns between the
// beginning and the end of a statement.
func newBulk(before string, columns int, after string) *bulk {
	var b bulk
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	for n := range b {
		b[n] = before + strings.TrimSuffix(strings.Repeat(row+",", 1<<n), ",") + after
	}
	return &b
}

// row is a row as the arguments of a statement.
type row interface {
	appendArgs(args []any) []any
}

// execRows takes all rows, as many at once as there is a statement for.
func execRows[R row](ctx context.Context, s *statements, with *bulk, rows []R) error {
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
