package worker

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_AARCH64

// ownCalls are the calls that only this architecture has.
func ownCalls() []uint32 { return nil }
