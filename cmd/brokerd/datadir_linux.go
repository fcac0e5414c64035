package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked is returned when another process holds the lock.
var errLocked = errors.New("another process holds the lock")

// lock takes the lock of a file that nobody else may have. It belongs to the open file, not to the process
// as older kinds do, and can be asked after without being taken.
func lock(f *os.File) error {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errLocked
	}
	return os.NewSyscallError("locking", err)
}

// locked reports whether somebody holds the lock of a file.
func locked(f *os.File) (bool, error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &whole); err != nil {
		return false, os.NewSyscallError("asking for the lock", err)
	}
	return whole.Type != unix.F_UNLCK, nil
}
