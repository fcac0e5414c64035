package cluster

import (
	"errors"
	"os"
	"syscall"
)

// flush makes what was written to a file durable, without its times.
func flush(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
