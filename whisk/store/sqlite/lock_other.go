//go:build !unix

package sqlite

import (
	"errors"
	"os"
)

// lockDir refuses: without a lock two processes would ruin each other's work.
func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
