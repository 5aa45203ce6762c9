package engine

import (
	"context"
	"errors"
)

// ErrNotCapturable is in the chain of the error for an instance whose state
// cannot be taken whole, or put back whole.
var ErrNotCapturable = errors.New("state cannot be captured")

// ErrNotNow is in the chain of the error for what is sound, and may be of use another
// time.
var ErrNotNow = errors.New("not at this time")

// Snapshot is the state of an instance at one moment, memory and globals, for
// others to start from. It is immutable and safe for concurrent use.
type Snapshot interface {
	// Size is the host memory that the snapshot holds, in bytes.
	Size() int64

	// Close releases the snapshot. Instances made from it stay usable.
	Close() error
}

// Adopter is implemented by snapshots that can take over the instance that they
// were captured from.
type Adopter interface {
	Snapshot

	// Adopt makes the instance, which is in the state that was captured, one as
	// Restore gives it. All of that is compared unless it is the instance that was
	// captured, and was not called since. After an error it is what it was.
	Adopt(inst Instance) error
}

// Snapshotter is implemented by modules whose instances can be captured.
type Snapshotter interface {
	Module

	// Capture takes the state of an instance of this module that is between
	// calls, and leaves it as it is. The last one may have been ended by a host
	// function: the state is that of then. The error is [ErrNotCapturable] if more
	// belongs to the instance's state than a snapshot holds.
	Capture(inst Instance) (Snapshot, error)

	// Restore gives an instance in the state of a snapshot of this module, or of
	// a [Provisional] one that it takes the place of. No guest code runs.
	Restore(ctx context.Context, from Snapshot, limits Limits) (Instance, error)
}

// Persister is implemented by modules whose snapshots can be kept on disk.
type Persister interface {
	Snapshotter

	// Persist writes a snapshot of this module, or of one that it took the place
	// of, into dir, which exists and is empty.
	Persist(from Snapshot, dir string) error

	// Recall gives the snapshot that another process may have written into dir, of
	// a module of the same binary and an engine of the same fingerprint. Its caller
	// must have checked that all is as it was written. The directory may be removed
	// then. The error is [ErrNotNow] if there is no room for one more snapshot.
	Recall(dir string) (Snapshot, error)
}

// Resetter is implemented by instances that can be put back to the state that
// they started in: as new, without the cost of a new one.
type Resetter interface {
	Instance

	// Reset puts back what changed since the instance was made. After an error
	// the instance is spent. It may follow a call that returned, and one that a
	// host function ended; after any other error the instance is spent anyway.
	Reset() error
}
