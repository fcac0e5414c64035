package cluster

import (
	"os"

	"golang.org/x/sys/unix"
)

// space returns how many bytes of a directory's file system this process may still use, and how large that is.
func space(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize), nil
}
