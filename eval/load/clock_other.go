//go:build !linux

package load

import "time"

// nap waits as precisely as the runtime does.
func nap(d time.Duration) { <-time.After(d) }
