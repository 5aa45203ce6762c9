package sqlite

import "context"

// numbers tells the records of one millisecond apart: it gives them their keys.
// It asks the database only about a millisecond that others have come after and
// that it does not remember.
type numbers struct {
	latest int64           // no millisecond after it has a record; 0 is not known
	next   map[int64]int64 // keys, by millisecond
}

// maxNumbered is how many milliseconds are remembered.
const maxNumbered = 1024

// number gives rows keys, in their order.
func (n *numbers) number(ctx context.Context, s *statements, rows []activationRow) error {
	if len(n.next) > maxNumbered || n.next == nil {
		n.next = map[int64]int64{}
	}
	for i := range rows {
		key, err := n.of(ctx, s, rows[i].start)
		if err != nil {
			return err
		}
		rows[i].key, n.next[rows[i].start] = key, key+1
	}
	return nil
}

// of is the next key of a millisecond.
func (n *numbers) of(ctx context.Context, s *statements, start int64) (key int64, err error) {
	if key, ok := n.next[start]; ok {
		return key, nil
	}
	if n.latest == 0 {
		const query = "SELECT 1 + (coalesce(max(key), 0) >> 20) FROM activations"
		if err := s.row(ctx, query, nil, &n.latest); err != nil {
			return 0, err
		}
	}
	if start > n.latest {
		n.latest = start
		return start << keyShift, nil
	}
	const query = "SELECT coalesce(max(key) + 1, ?1 << 20) FROM activations WHERE key >= ?1 << 20 AND key < (?1 + 1) << 20"
	err = s.row(ctx, query, []any{start}, &key)
	return key, err
}
