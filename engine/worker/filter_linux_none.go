//go:build linux && !amd64 && !arm64

package worker

import "golang.org/x/sys/unix"

// filter is nil where nobody has listed the calls.
func (grants) filter() []unix.SockFilter { return nil }
