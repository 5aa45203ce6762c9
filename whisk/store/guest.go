package store

import (
	"context"
	"errors"
	"fmt"

	"wasmwhisk/whisk"
)

// EnsureGuest gives a store that has no subjects the one that every OpenWhisk
// standalone has: subject and namespace guest, with whisk.GuestKey. Who makes a
// user before the first start gets no guest. The front must refuse the key
// (whisk.Key.WellKnown) to who does not come over loopback.
func EnsureGuest(ctx context.Context, s Subjects) error {
	some, err := s.ListSubjects(ctx, Page{Limit: 1})
	if err != nil || len(some) > 0 {
		return err
	}
	err = s.CreateSubject(ctx, &Subject{Name: whisk.Guest})
	if err == nil || errors.Is(err, ErrExists) {
		err = s.SetKey(ctx, whisk.Guest, whisk.Guest, whisk.GuestKey())
	}
	if err != nil {
		return fmt.Errorf("make guest: %w", err)
	}
	return nil
}
