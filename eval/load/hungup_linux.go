package load

import (
	"crypto/tls"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp looks whether there is anything to read on an idle connection: the end
// of it, or what nobody asked for.
func hungUp(c net.Conn) bool {
	if wrapped, ok := c.(*tls.Conn); ok {
		c = wrapped.NetConn()
	}
	raw, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	readable := true
	err = control.Control(func(fd uintptr) {
		_, _, peeked := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		readable = peeked != unix.EAGAIN
	})
	return err != nil || readable
}
