//go:build !unix

package wazero

import (
	"errors"
	"os"
)

func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
