package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// entityRow is an entity as the table has it.
type entityRow struct {
	kind     whisk.EntityKind
	revision store.Revision
	digest   []byte
	doc      []byte
}

func findRow(ctx context.Context, s *statements, name whisk.FullyQualifiedName) (entityRow, error) {
	const query = "SELECT kind, revision, digest, doc FROM entities WHERE path = ? AND name = ?"
	var r entityRow
	err := s.row(ctx, query, []any{name.Path, name.Name}, &r.kind, &r.revision, &r.digest, &r.doc)
	return r, notFound(err, "entity", name)
}

// entity decodes the row, and adds its rules to a trigger.
func (r entityRow) entity(ctx context.Context, s *statements) (whisk.Entity, error) {
	e, err := decodeEntity(r.kind, r.doc, r.digest)
	if err != nil {
		return nil, err
	}
	if trigger, ok := e.(*whisk.Trigger); ok {
		return trigger, addRules(ctx, s, trigger)
	}
	return e, nil
}

func addRules(ctx context.Context, s *statements, trigger *whisk.Trigger) error {
	rules, err := rulesOf(ctx, s, trigger.FullName())
	trigger.Rules = make(map[string]whisk.RuleLink, len(rules))
	for _, r := range rules {
		trigger.Rules[r.FullName().ID()] = whisk.RuleLink{Action: r.Action, Status: r.Status}
	}
	return err
}

func rulesOf(ctx context.Context, s *statements, trigger whisk.FullyQualifiedName) ([]*whisk.Rule, error) {
	const query = "SELECT kind, revision, digest, doc FROM entities WHERE listens = ?"
	found, err := decodeRows(ctx, s, query, []any{trigger.ID()})
	if err != nil {
		return nil, err
	}
	rules := make([]*whisk.Rule, len(found))
	for i, e := range found {
		rules[i] = e.(*whisk.Rule)
	}
	return rules, nil
}

func decodeRows(ctx context.Context, s *statements, query string, args []any) ([]whisk.Entity, error) {
	found := []whisk.Entity{}
	err := s.rows(ctx, query, args, func(rows *sql.Rows) error {
		var r entityRow
		if err := rows.Scan(&r.kind, &r.revision, &r.digest, &r.doc); err != nil {
			return err
		}
		e, err := decodeEntity(r.kind, r.doc, r.digest)
		found = append(found, e)
		return err
	})
	return found, err
}

func listEntities(ctx context.Context, s *statements, q store.Query) ([]whisk.Entity, error) {
	where, args := entityFilter(q)
	query := "SELECT kind, revision, digest, doc FROM entities WHERE " + where + " ORDER BY updated DESC, id DESC LIMIT ? OFFSET ?"
	found, err := decodeRows(ctx, s, query, append(args, limit(q.Page), q.Skip))
	if err != nil || q.Kind != whisk.TriggerEntity {
		return found, err
	}
	for _, e := range found {
		if err := addRules(ctx, s, e.(*whisk.Trigger)); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func countEntities(ctx context.Context, s *statements, q store.Query) (int, error) {
	where, args := entityFilter(q)
	var n int
	err := s.row(ctx, "SELECT count(*) FROM entities WHERE "+where, args, &n)
	return max(n-q.Skip, 0), err
}

// entityFilter is the condition of a query.
func entityFilter(q store.Query) (where string, args []any) {
	column := "namespace"
	if strings.Contains(string(q.Path), "/") {
		column = "path"
	}
	where = column + " = ? AND kind = ?"
	if q.Public {
		where += " AND public"
	}
	return where, []any{q.Path, q.Kind}
}

// limit is SQLite's spelling of a page's length.
func limit(p store.Page) int {
	if p.Limit == 0 {
		return -1
	}
	return p.Limit
}
