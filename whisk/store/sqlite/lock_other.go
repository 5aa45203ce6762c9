//go:build !unix

package sqlite

import (
	"context"
	"errors"
	"os"
	"time"
)

// lockDir refuses: without a lock two processes would ruin each other's work.
func lockDir(context.Context, string, time.Duration) (*os.File, error) {
	return nil, errors.ErrUnsupported
}
