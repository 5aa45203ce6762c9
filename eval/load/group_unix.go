//go:build unix

package load

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the interrupt of a terminal from the process: its parent
// decides when it ends.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
