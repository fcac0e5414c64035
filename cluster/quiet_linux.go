package cluster

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is open and has nothing to say: what the other side sends
// unasked is its goodbye. A connection that cannot be asked counts as quiet.
func quiet(conn net.Conn) bool {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	asked, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := asked.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN
		return true
	})
	return err == nil && silent
}
